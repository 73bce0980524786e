-- The newest incidents of one type and service, so that "again?" costs the same after a year.
create index if not exists incidents_of_family on incidents (family_hash, number);
