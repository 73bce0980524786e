//! Bugs that somebody might write, each of them once in a port of the engine: the simulation must find every one.
//! Nothing of them is in the product.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A commit leaves out one of the jobs that it asks for.
    ForgetsAJob,
    /// A commit is answered as made and is not.
    LosesACommit,
    /// A job that was settled stays.
    SettlesNothing,
    /// A message is handed to its channel twice.
    SendsTwice,
    /// An attempt is made twice.
    ActsTwice,
    /// A start does not know what was cut off.
    ForgetsTheInterrupted,
    /// A start does not know what limits have counted.
    ForgetsWhatWasSpent,
    /// A start does not know the deliveries that were stored and not worked.
    ForgetsTheUnworked,
    /// A start does not know how many runs of a playbook are under way.
    ForgetsTheRunning,
    /// A request that was repeated is taken for a new one, and the database does not mind.
    ForgetsRequests,
    /// Due jobs that were stored long ago are not found any more.
    ForgetsOldJobs,
    /// An incident that is read again has lost its alerts.
    ForgetsAlerts,
    /// The clock goes where the machine's is set.
    BelievesTheMachine,
    /// What a shutdown had handed out and not begun stays as if it had been.
    KeepsTheReleased,
    /// A commit does not ask who has the lease.
    IgnoresTheEpoch,
    /// A node begins what it has in hand though another one may have taken over.
    BeginsUnsure,
    /// A start does not know that automation is held.
    ForgetsTheHold,
    /// A start does not know which playbooks have failed too often.
    ForgetsTheBreakers,
    /// A commit leaves out what it knows of failures in a row.
    LosesTheBreakers,
    /// A start does not know what each playbook has earned.
    ForgetsTheRecords,
    /// A commit leaves out what a run that ended has earned its playbook, or cost it.
    LosesTheRecords,
    /// A start does not know whose targets those were that limits have counted.
    ForgetsTheService,
    /// A start does not know who is at work on which target.
    ForgetsWhoIsAtWork,
    /// A start does not know what fires, and so what is in trouble.
    ForgetsWhatFires,
    /// An incident that is read again has lost who said yes so far.
    ForgetsTheYeses,
    /// What is taken back is said to be, and stays.
    PretendsToUndo,
    /// The self-watch is told of what is due later as if it were late.
    WatchesTheFuture,
}

/// Each of them, and a seed that finds it soon.
pub const ALL: [(Bug, u64); 27] = [
    (Bug::ForgetsAJob, 1),
    (Bug::LosesACommit, 1),
    (Bug::SettlesNothing, 1),
    (Bug::SendsTwice, 4),
    (Bug::ActsTwice, 15),
    (Bug::ForgetsTheInterrupted, 10),
    (Bug::ForgetsWhatWasSpent, 1),
    (Bug::ForgetsTheUnworked, 167),
    (Bug::ForgetsTheRunning, 1),
    (Bug::ForgetsRequests, 16),
    (Bug::ForgetsOldJobs, 9),
    (Bug::ForgetsAlerts, 1),
    (Bug::BelievesTheMachine, 128),
    (Bug::KeepsTheReleased, 1),
    (Bug::IgnoresTheEpoch, 232),
    (Bug::BeginsUnsure, 86),
    (Bug::ForgetsTheHold, 5),
    (Bug::ForgetsTheBreakers, 35),
    (Bug::LosesTheBreakers, 35),
    (Bug::ForgetsTheRecords, 1),
    (Bug::LosesTheRecords, 242),
    (Bug::ForgetsTheService, 1),
    (Bug::ForgetsWhoIsAtWork, 9),
    (Bug::ForgetsWhatFires, 5),
    (Bug::ForgetsTheYeses, 4),
    (Bug::PretendsToUndo, 1),
    (Bug::WatchesTheFuture, 1),
];

pub fn named(name: &str) -> Option<Bug> {
    ALL.into_iter().map(|(bug, _)| bug).find(|bug| format!("{bug:?}") == name)
}
