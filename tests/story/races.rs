//! Two things at once, in the wrong order, or much later than anybody meant.

use reynard::domain::time::Span;

use crate::app::{App, START};

const PROTECT: &str = "
title: Protect the database
on: { type: service_down }
steps:
  - { id: protect, title: Make orders read-only, action: postgres.read_only, target: orders-db, undo: on_resolve }
  - { id: look, action: postgres.pool_status, target: orders-db }
";

#[tokio::test]
async fn a_clock_that_is_set_back_holds_nothing_up() {
    let app = App::with(&[("protect", PROTECT)]).await;
    app.fires("Anything", "critical").await;
    app.clock.set(START - Span::hours(5));
    app.fires("ServiceDown", "critical").await;
    assert_eq!(app.calls().len(), 2, "{:?}", app.calls());
    assert_eq!(app.sent().len(), 2);
}
