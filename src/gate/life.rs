//! Signals: what ends the process, hands it over, or has it read its configuration again.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{SignalKind, signal};

use super::{Live, reload::Trigger};

/// pingora goes on listening for so long after it has handed its listeners over, so that the new process can begin.
const HAND_OVER: Duration = Duration::from_secs(5);

/// Waits for a signal.
pub struct Signals {
    /// What runs.
    pub live: Arc<Live>,
    /// How long requests under way may still take.
    pub drain: Duration,
    /// Where a new process waits for the listeners.
    pub upgrade_socket: Option<PathBuf>,
    /// Has the configuration read again.
    pub reload: Trigger,
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        // A file that may not grow (RLIMIT_FSIZE) is an error of write, as a full disk is, and not the end of the process.
        let _may_not_grow = signal(SignalKind::from_raw(libc::SIGXFSZ));
        let (Ok(mut terminate), Ok(mut interrupt), Ok(mut quit), Ok(mut hang_up)) = (
            signal(SignalKind::terminate()),
            signal(SignalKind::interrupt()),
            signal(SignalKind::quit()),
            signal(SignalKind::hangup()),
        ) else {
            tracing::error!("signals cannot be waited for; the process ends");
            return ShutdownSignal::FastShutdown;
        };
        loop {
            tokio::select! {
                _ = hang_up.recv() => self.reload.now(),
                _ = interrupt.recv() => return ShutdownSignal::FastShutdown,
                _ = terminate.recv() => {
                    tracing::info!(within = ?self.drain, "ending: requests under way may finish");
                    self.leave(Duration::ZERO);
                    return ShutdownSignal::GracefulTerminate;
                }
                _ = quit.recv() => if self.has_successor() {
                    tracing::info!(within = ?self.drain, "handing the listeners over, then ending: requests under way may finish");
                    self.live.process.hand_over();
                    self.leave(HAND_OVER + Duration::from_secs(1));
                    return ShutdownSignal::GracefulUpgrade;
                },
            }
        }
    }
}

impl Signals {
    /// Whether a new process waits for the listeners; without one they would be closed for good.
    fn has_successor(&self) -> bool {
        let Some(path) = &self.upgrade_socket else {
            tracing::error!(
                "SIGQUIT hands the listeners over, and upgrade_socket is not configured; nothing is done"
            );
            return false;
        };
        // The file alone may be left over from an earlier time; this lists the sockets that are open.
        let sockets = std::fs::read_to_string("/proc/net/unix").unwrap_or_default();
        let name = path.display().to_string();
        let waits = sockets
            .lines()
            .any(|line| line.split(' ').next_back() == Some(&name));
        if !waits {
            tracing::error!(
                socket = name,
                "SIGQUIT hands the listeners over, and no new process waits at upgrade_socket; start one with `sealgate run --upgrade` first; nothing is done"
            );
        }
        waits
    }

    /// Ends the process once its connections have ended, or after the time that they are given; `later`: until then
    /// it goes on as before.
    fn leave(&self, later: Duration) {
        let (live, drain) = (Arc::clone(&self.live), self.drain);
        std::thread::spawn(move || {
            std::thread::sleep(later);
            live.process.drain();
            let deadline = Instant::now() + drain;
            while live.process.connections.open() > 0 && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(20));
            }
            let left = live.process.connections.open();
            if left > 0 {
                tracing::warn!(
                    connections = left,
                    "ended before all connections did: shutdown.drain is over"
                );
            }
            let code = match live.process.audit.end() {
                Ok(()) => 0,
                Err(error) => {
                    tracing::error!(%error, "the last audit lines could not be written");
                    1
                }
            };
            tracing::info!("ended");
            std::process::exit(code);
        });
    }
}
