//! Signals: what ends the process, hands it over, or has it read its configuration again.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use pingora::server::{ListenFds, ShutdownSignal, ShutdownSignalWatch};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{
        Mutex,
        mpsc::{UnboundedSender, unbounded_channel},
    },
    time::sleep_until,
};

use super::{
    Live, StartError,
    reload::Trigger,
    successor::{self, Word},
};
use crate::config::Shutdown;

/// How long a new process may take to say that it serves. Its word counts later, too.
const HAND_OVER: Duration = Duration::from_secs(10);
/// How long requests that are cut off have for their audit lines.
const LAST_WORDS: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// SIGHUPs from here on: without it one would end a process that does not serve yet.
#[derive(Debug)]
pub struct HangUps(Signal);

impl HangUps {
    /// To be called first of all.
    ///
    /// # Errors
    /// They cannot be taken.
    pub fn hold() -> Result<Self, StartError> {
        // Only tokio's word that somebody will look: the runtime that serves does, also at what came before it was there.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .map_err(StartError::Signals)?;
        let _entered = runtime.enter();
        let held = signal(SignalKind::hangup()).map_err(StartError::Signals)?;
        Ok(Self(held))
    }
}

/// Waits for a signal.
pub struct Signals {
    /// What runs.
    pub live: Arc<Live>,
    /// How long the end may take.
    pub shutdown: Shutdown,
    /// Where a new process waits for the listeners.
    pub upgrade_socket: Option<PathBuf>,
    /// The listeners, once they are open.
    pub sockets: Arc<OnceLock<ListenFds>>,
    /// Has the configuration read again.
    pub reload: Trigger,
    /// What asks for that.
    pub hang_ups: Mutex<HangUps>,
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        // A file that may not grow (RLIMIT_FSIZE) is an error of write, as a full disk is, and not the end of the process.
        let _may_not_grow = signal(SignalKind::from_raw(libc::SIGXFSZ));
        let mut hang_ups = self.hang_ups.lock().await;
        let (Ok(mut terminate), Ok(mut interrupt), Ok(mut quit)) = (
            signal(SignalKind::terminate()),
            signal(SignalKind::interrupt()),
            signal(SignalKind::quit()),
        ) else {
            tracing::error!("signals cannot be waited for; the process ends");
            return self.end_now().await;
        };
        let (tell, mut told) = unbounded_channel();
        let mut sent = 0;
        // Until when a new process should have said that it serves.
        let mut patience = None;
        let Shutdown { drain, delay } = self.shutdown;
        let delay = loop {
            let late = patience.unwrap_or_else(tokio::time::Instant::now);
            tokio::select! {
                _ = hang_ups.0.recv() => self.reload.now(),
                _ = interrupt.recv() => return self.end_now().await,
                _ = terminate.recv() => {
                    tracing::info!(within = ?drain, after = ?delay, "ending: requests under way may finish");
                    break delay;
                }
                _ = quit.recv() => {
                    if patience.is_some() {
                        tracing::warn!("a hand-over is under way already; nothing is done");
                    } else if self.send(sent + 1, &tell) {
                        sent += 1;
                        patience = Some(tokio::time::Instant::now() + HAND_OVER);
                    }
                }
                Some((number, word)) = told.recv() => {
                    if let Word::Serves = word {
                        tracing::info!(within = ?drain, "the new process serves; ending: requests under way may finish");
                        self.live.process.hand_over();
                        break Duration::ZERO;
                    }
                    let why = match word {
                        Word::NotSent(error) => format!("the listeners could not be sent: {error}"),
                        _ => "the new process ended before it served; its log says why".to_owned(),
                    };
                    if number == sent {
                        patience = None;
                        self.stays(why);
                    }
                }
                () = sleep_until(late), if patience.is_some() => {
                    patience = None;
                    self.stays(format!("the new process has not said within {HAND_OVER:?} that it serves; this one ends when it does"));
                }
            }
        };
        self.live.process.drain();
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            _ = interrupt.recv() => return self.end_now().await,
        }
        self.leave();
        // However long that may take, SIGINT ends it at once.
        let live = Arc::clone(&self.live);
        tokio::spawn(async move {
            interrupt.recv().await;
            std::thread::spawn(move || exit(&live, "SIGINT"));
        });
        ShutdownSignal::GracefulTerminate
    }
}

impl Signals {
    /// Sends the listeners to the new process and has its word told, with `number`; false: nothing is done.
    fn send(&self, number: u32, tell: &UnboundedSender<(u32, Word)>) -> bool {
        let Some(path) = self.upgrade_socket.as_deref().filter(|path| waits_at(path)) else {
            if self.upgrade_socket.is_none() {
                tracing::error!(
                    "SIGQUIT hands the listeners over, and upgrade_socket is not configured; nothing is done"
                );
            }
            return false;
        };
        let Some(sockets) = self.sockets.get() else {
            tracing::error!(
                "SIGQUIT hands the listeners over, and they are not open yet; nothing is done"
            );
            return false;
        };
        tracing::info!("handing the listeners over; this process goes on until the new one serves");
        self.live.process.hands_over(None);
        let (sockets, path, tell) = (Arc::clone(sockets), path.to_owned(), tell.clone());
        std::thread::spawn(move || {
            // Nobody waits for it where the process ends already.
            let _ = tell.send((number, successor::send(&sockets, &path)));
        });
        true
    }

    /// Says that a hand-over failed, and that this process goes on.
    fn stays(&self, why: String) {
        tracing::error!("the hand-over failed, and this process goes on: {why}");
        self.live.process.hands_over(Some(why));
    }

    /// Ends the process once its connections have ended and its audit lines are written, or after the time that they are given.
    fn leave(&self) {
        let (live, drain) = (Arc::clone(&self.live), self.shutdown.drain);
        std::thread::spawn(move || {
            let deadline = Instant::now() + drain;
            // Twice: between a connection's arrival and its being counted there is a moment.
            let mut empty = 0;
            let mut told = false;
            while Instant::now() < deadline {
                let process = &live.process;
                empty = if process.is_closed() && process.connections.open() == 0 {
                    empty + 1
                } else {
                    0
                };
                std::thread::sleep(LOOK_EVERY);
                if empty < 2 {
                    continue;
                }
                // They are tried again all the time.
                if !process.audit.waits() {
                    break;
                }
                if process.audit.is_blocked() && !std::mem::replace(&mut told, true) {
                    let left = deadline.saturating_duration_since(Instant::now());
                    tracing::warn!(within = ?left, "no request is under way; waiting for an output to take the last audit lines");
                }
            }
            exit(&live, "shutdown.drain is over");
        });
    }

    /// Ends what the process does, so that whoever started it can go on.
    async fn end_now(&self) -> ShutdownSignal {
        let live = Arc::clone(&self.live);
        let ended =
            tokio::task::spawn_blocking(move || end(&live, "the process was told to end at once"));
        if ended.await.is_ok_and(|good| good == Some(false)) {
            std::process::exit(1);
        }
        ShutdownSignal::FastShutdown
    }
}

/// Whether a new process waits for the listeners.
fn waits_at(path: &Path) -> bool {
    // The file alone may be left over from an earlier time; this lists the sockets that are open.
    let Ok(sockets) = std::fs::read_to_string("/proc/self/net/unix") else {
        // It cannot be known, and sending tells.
        return true;
    };
    let name = path.display().to_string();
    // Num RefCount Protocol Flags Type St Inode Path
    let waits = sockets.lines().any(|line| {
        let columns = line.splitn(7, char::is_whitespace);
        columns
            .last()
            .and_then(|last| last.trim_start().split_once(' '))
            .is_some_and(|(_, path)| path == name)
    });
    if !waits {
        tracing::error!(
            socket = name,
            "SIGQUIT hands the listeners over, and no new process waits at upgrade_socket; start one with `sealgate run --upgrade` first; nothing is done"
        );
    }
    waits
}

/// Ends the process now, as [`end`] does.
fn exit(live: &Live, why: &str) {
    if let Some(good) = end(live, why) {
        std::process::exit(i32::from(!good));
    }
}

/// Cuts requests under way off, has them write their lines, and ends the audit file; `why`: what is said of them. Whether
/// all lines are written; `None`: somebody else is at it.
fn end(live: &Live, why: &str) -> Option<bool> {
    let process = &live.process;
    let under_way = process.active();
    if !process.cut() {
        return None;
    }
    let deadline = Instant::now() + LAST_WORDS;
    while process.active() > 0 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(2));
    }
    let without_line = process.active();
    if under_way > 0 {
        tracing::warn!(
            requests = under_way,
            without_line,
            "requests under way were cut off: {why}"
        );
    }
    // Without the mark of a good end the next run's first line says that lines are missing.
    let ended = process.audit.end(without_line == 0);
    if let Err(error) = &ended {
        tracing::error!("{error}");
    }
    tracing::info!("ended");
    Some(ended.is_ok())
}
