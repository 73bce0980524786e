-- The newest incidents of one type and service, so that "again?" costs the same after a year.
create index incidents_of_family on incidents (type, service, number);
