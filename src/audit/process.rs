//! What the kernel says of this process, under the names that Prometheus' own clients use. Read when asked for.

use std::fs;
use std::time::SystemTime;

use prometheus::{Counter, Gauge, Registry};
use rustix::process::{Resource, getrlimit};

/// The kernel counts CPU time in hundredths of a second towards user space, on every architecture.
const TICKS: f64 = 100.0;

pub struct Process {
    cpu: Counter,
    memory: Gauge,
    address_space: Gauge,
    files: Gauge,
    most_files: Gauge,
}

impl Process {
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let cpu = Counter::new(
            "process_cpu_seconds_total",
            "User and system CPU time spent, in seconds.",
        )?;
        let memory = Gauge::new(
            "process_resident_memory_bytes",
            "Resident memory, in bytes.",
        )?;
        let address_space =
            Gauge::new("process_virtual_memory_bytes", "Virtual memory, in bytes.")?;
        let files = Gauge::new("process_open_fds", "Open file descriptors.")?;
        let most_files = Gauge::new("process_max_fds", "Most file descriptors that may be open.")?;
        let start = Gauge::new(
            "process_start_time_seconds",
            "When the process started, in seconds since 1970.",
        )?;
        if let Ok(since) = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            start.set(since.as_secs_f64());
        }
        registry.register(Box::new(cpu.clone()))?;
        for gauge in [&memory, &address_space, &files, &most_files, &start] {
            registry.register(Box::new(gauge.clone()))?;
        }
        Ok(Self {
            cpu,
            memory,
            address_space,
            files,
            most_files,
        })
    }

    /// Reads `/proc/self`; what cannot be read keeps its value.
    pub fn update(&self) {
        if let Some(seconds) = fs::read_to_string("/proc/self/stat")
            .ok()
            .and_then(|stat| cpu(&stat))
        {
            self.cpu.inc_by((seconds - self.cpu.get()).max(0.0));
        }
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        for (gauge, name) in [(&self.memory, "VmRSS:"), (&self.address_space, "VmSize:")] {
            if let Some(bytes) = size(&status, name) {
                gauge.set(bytes);
            }
        }
        let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        #[allow(clippy::cast_precision_loss)]
        self.most_files.set(most as f64);
        if let Ok(files) = fs::read_dir("/proc/self/fd") {
            // The listing itself holds one.
            let open = u32::try_from(files.count()).unwrap_or(u32::MAX);
            self.files.set(f64::from(open.saturating_sub(1)));
        }
    }
}

/// Fields 14 and 15 of `stat`, counted from behind the program's name, which may hold spaces (proc(5)).
fn cpu(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS)
}

/// A size in `status`, in bytes.
fn size(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|l| l.strip_prefix(name))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_proc_writes() {
        let stat = "7 (a )b) S 1 7 7 0 -1 4194560 9 0 0 0 150 50 0 0 20 0 1 0 100";
        assert_eq!(cpu(stat), Some(2.0));
        assert_eq!(
            size("Name:\tx\nVmRSS:\t    2048 kB\n", "VmRSS:"),
            Some(2_097_152.0)
        );
        assert_eq!((cpu("x"), size("", "VmRSS:")), (None, None));
    }
}
