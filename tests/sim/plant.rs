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
}

pub const ALL: [Bug; 16] = [
    Bug::ForgetsAJob,
    Bug::LosesACommit,
    Bug::SettlesNothing,
    Bug::SendsTwice,
    Bug::ActsTwice,
    Bug::ForgetsTheInterrupted,
    Bug::ForgetsWhatWasSpent,
    Bug::ForgetsTheUnworked,
    Bug::ForgetsTheRunning,
    Bug::ForgetsRequests,
    Bug::ForgetsOldJobs,
    Bug::ForgetsAlerts,
    Bug::BelievesTheMachine,
    Bug::KeepsTheReleased,
    Bug::IgnoresTheEpoch,
    Bug::BeginsUnsure,
];
