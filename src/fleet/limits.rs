//! What a worker's number of places follows from: the tightest of its means, by name. Pure; what the means are is measured elsewhere.

/// One means, and the calls that it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Means {
    /// `configured`, `cpu`, `memory`, `descriptors` or `ports`.
    pub name: &'static str,
    /// So many calls.
    pub calls: u32,
}

/// Memory of one call with everything that belongs to it, in bytes.
const CALL_BYTES: u64 = 256 * 1024;
/// Files that a call holds at the most: two ports or a socket, recording, journal.
const CALL_FILES: u64 = 6;
/// Files that the rest of the process needs.
const OTHER_FILES: u64 = 256;

/// What the machine says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Files that the process may have open.
    pub files: u64,
    /// Memory that is to be had, in bytes; `None` where it is not known.
    pub memory_bytes: Option<u64>,
    /// Ports for audio, where calls need any.
    pub ports: Option<u32>,
    /// What was measured on this machine, if it was.
    pub measured: Option<u32>,
}

/// The tightest of the means; of equals the first, so that a bound that was set is named before one that was found.
#[must_use]
pub fn tightest(configured: u32, machine: &Machine) -> Means {
    let fits = |calls: u64| u32::try_from(calls).unwrap_or(u32::MAX);
    let mut best = Means { name: "configured", calls: configured };
    let others = [
        machine.measured.map(|calls| Means { name: "cpu", calls }),
        machine.ports.map(|ports| Means { name: "ports", calls: ports / 2 }),
        Some(Means { name: "descriptors", calls: fits(machine.files.saturating_sub(OTHER_FILES) / CALL_FILES) }),
        machine.memory_bytes.map(|bytes| Means { name: "memory", calls: fits(bytes / CALL_BYTES) }),
    ];
    for means in others.into_iter().flatten() {
        if means.calls < best.calls {
            best = means;
        }
    }
    // A worker that takes no call at all is of no use to anybody; what is really missing says so itself.
    Means { calls: best.calls.max(1), ..best }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_means_gives_the_number_and_its_name() {
        let rich = Machine { files: 1 << 20, memory_bytes: Some(64 << 30), ports: Some(10_000), measured: Some(1_100) };
        let of = |configured, machine: &Machine| {
            let Means { name, calls } = tightest(configured, machine);
            (name, calls)
        };
        assert_eq!(of(40, &rich), ("configured", 40));
        assert_eq!(of(2_000, &rich), ("cpu", 1_100));
        assert_eq!(of(1_100, &rich), ("configured", 1_100), "of equals the one that was set");
        assert_eq!(of(2_000, &Machine { ports: Some(200), ..rich }), ("ports", 100));
        assert_eq!(of(2_000, &Machine { files: 1_024, ..rich }), ("descriptors", 128));
        assert_eq!(of(2_000, &Machine { memory_bytes: Some(25 << 20), ..rich }), ("memory", 100));
        assert_eq!(
            of(9_000, &Machine { measured: None, ports: None, memory_bytes: None, ..rich }),
            ("configured", 9_000)
        );
        assert_eq!(of(40, &Machine { files: 0, ..rich }), ("descriptors", 1));
    }
}
