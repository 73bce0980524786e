//! The allocator of the process. Knows nothing else.
//! An alert's texts are allocated by the connection that reads them and freed by the writer; glibc's allocator spends a third of intake's
//! time on such frees and gives little back after a storm. Whether memory comes in huge pages is the system's policy, not asked for
//! (`no_thp`): they made 27 MiB at rest 44, and intake no faster.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
