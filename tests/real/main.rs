//! Stories with real parts: the released binary, Prometheus, Alertmanager, PostgreSQL and a mail server on this machine.
//! `tests/run` plays them; without `REYNARD_REAL=1` each is skipped with a word, so that `cargo test` needs no server.

mod access;
mod approvals;
mod autonomy;
mod books;
mod breaker;
mod cancel;
mod cut;
mod database_away;
mod examples;
mod failover;
mod hold;
mod inbox;
mod late;
mod leases;
mod ledger;
mod limits;
mod load;
mod locks;
mod migrate;
mod nodes;
mod pages;
mod pair;
mod parts;
mod parts_work;
mod recovery;
mod reload;
mod selfwatch;
mod shadow;
mod sign_in;
mod signals;
mod whole_chain;

/// Whether the real parts are wanted; says so where they are not.
fn real(story: &str) -> bool {
    let wanted = std::env::var_os("REYNARD_REAL").is_some_and(|value| value == "1");
    if !wanted {
        println!("skipped: {story} needs real servers; tests/run starts them (REYNARD_REAL=1)");
    }
    wanted
}
