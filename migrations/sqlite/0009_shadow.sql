-- Steps that were left out, so that what shadow kept from being done is found by its day.
create index timeline_skipped on timeline (at) where kind = 'step_skipped';
