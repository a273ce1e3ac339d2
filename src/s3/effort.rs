//! Counts bytes that were looked at, so that a test can tell what a request costs without a clock.

use std::cell::Cell;

thread_local! {
    static SPENT: Cell<usize> = const { Cell::new(0) };
}

/// So many bytes are looked at.
pub fn spent(bytes: usize) {
    SPENT.set(SPENT.get().saturating_add(bytes));
}

/// How many bytes `work` looks at, on this thread.
pub fn of(work: impl FnOnce()) -> usize {
    let before = SPENT.get();
    work();
    SPENT.get() - before
}
