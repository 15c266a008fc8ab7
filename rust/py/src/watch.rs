//! Long work with the interpreter's lock released, that Ctrl-C can end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use barproof_core::Result;
use barproof_core::backtest::sweep::Progress;
use pyo3::prelude::*;

use crate::error::to_python;

/// How often Ctrl-C is looked for and progress reported.
const POLL: Duration = Duration::from_millis(50);

/// Runs `work` on a thread of its own while `watch` is called now and then; an error of `watch` cancels the work.
pub fn watched<T: Send>(
    work: impl FnOnce() -> Result<T> + Send,
    watch: impl Fn() -> PyResult<()>,
    cancel: &AtomicBool,
) -> (Result<T>, Option<PyErr>) {
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        let worker = scope.spawn(move || {
            let result = work();
            // The receiver waits until the worker ends, so it is always there.
            let _ = sender.send(());
            result
        });
        let mut stopped = None;
        while receiver.recv_timeout(POLL) == Err(mpsc::RecvTimeoutError::Timeout) {
            if stopped.is_none()
                && let Err(error) = watch()
            {
                stopped = Some(error);
                cancel.store(true, Ordering::Relaxed);
            }
        }
        let result = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // The last word, so that a bar ends full and a short job is heard of at all.
        if stopped.is_none() {
            stopped = watch().err();
        }
        (result, stopped)
    })
}

/// Runs work that Ctrl-C ends and that reports its progress: what came of it, and what ended it early.
pub fn reported<T: Send>(
    py: Python<'_>,
    state: &Progress,
    total: usize,
    progress: Option<&Py<PyAny>>,
    work: impl FnOnce() -> Result<T> + Send,
) -> (Result<T>, Option<PyErr>) {
    let watch = || -> PyResult<()> {
        Python::attach(|py| {
            py.check_signals()?;
            if let Some(progress) = progress {
                progress.call1(py, (state.done.load(Ordering::Relaxed), total))?;
            }
            Ok(())
        })
    };
    py.detach(|| watched(work, watch, &state.cancel))
}

/// [`reported`], where whatever ends it early is raised.
pub fn run<T: Send>(
    py: Python<'_>,
    state: &Progress,
    total: usize,
    progress: Option<&Py<PyAny>>,
    work: impl FnOnce() -> Result<T> + Send,
) -> PyResult<T> {
    match reported(py, state, total, progress, work) {
        (_, Some(error)) => Err(error),
        (result, None) => result.map_err(|e| to_python(py, &e)),
    }
}
