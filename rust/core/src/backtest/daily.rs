//! Daily returns and drawdown from marks, as they come.

/// Milliseconds of a UTC day.
const DAY: i64 = 86_400_000;

/// Returns of UTC days, each marked by the last bar that opens in it; days without bars are skipped.
#[derive(Clone, Debug)]
pub struct DailyReturns {
    day: i64,
    previous: f64,
    latest: f64,
    /// UTC days since 1970, ascending.
    pub days: Vec<i64>,
    /// Returns, one a day.
    pub returns: Vec<f64>,
}

impl DailyReturns {
    /// Starts from the initial equity.
    pub fn new(initial: f64) -> Self {
        Self { day: i64::MIN, previous: initial, latest: initial, days: vec![], returns: vec![] }
    }

    /// Takes the mark of the next bar.
    pub fn mark(&mut self, open_time: i64, equity: f64) {
        let day = open_time.div_euclid(DAY);
        if day != self.day {
            self.finish_day();
            self.day = day;
        }
        self.latest = equity;
    }

    /// Closes the last day.
    pub fn finish_day(&mut self) {
        if self.day == i64::MIN {
            return;
        }
        self.days.push(self.day);
        self.returns.push(change(self.previous, self.latest));
        self.previous = self.latest;
        self.day = i64::MIN;
    }
}

/// Return from one mark to the next; from zero, as after ruin, there is nothing left to gain or lose.
fn change(from: f64, to: f64) -> f64 {
    if from == 0.0 { 0.0 } else { to / from - 1.0 }
}

/// The same returns where the bars that end a day are known beforehand.
#[derive(Clone, Debug)]
pub struct DayEnds {
    /// Number of the next end among those of the candles, and its bar.
    next: usize,
    due: usize,
    previous: f64,
    /// Returns, one a day.
    pub returns: Vec<f64>,
}

impl DayEnds {
    /// Over bars `start..stop`, from the initial equity; `ends` are the bars that end a day.
    pub fn new(ends: &[usize], (start, stop): (usize, usize), initial: f64) -> Self {
        let next = ends.partition_point(|end| *end < start);
        let count = ends[next..].partition_point(|end| *end < stop) + 1;
        let due = ends.get(next).copied().unwrap_or(usize::MAX);
        Self { next, due, previous: initial, returns: Vec::with_capacity(count) }
    }

    /// Marks the ends before bar `to`.
    #[inline]
    pub fn pass(&mut self, ends: &[usize], to: usize, mark: impl Fn(usize) -> f64) {
        while self.due < to {
            self.end(ends, mark(self.due));
        }
    }

    /// Marks the next end.
    pub fn end(&mut self, ends: &[usize], mark: f64) {
        self.last(mark);
        self.next += 1;
        self.due = ends.get(self.next).copied().unwrap_or(usize::MAX);
    }

    /// Marks a last bar that is not the end of its day.
    pub fn last(&mut self, mark: f64) {
        self.returns.push(change(self.previous, mark));
        self.previous = mark;
    }

    /// Bar of the next end; never if there is none.
    pub fn due(&self) -> usize {
        self.due
    }
}

/// Largest relative fall from a running peak.
#[derive(Clone, Copy, Debug)]
pub struct Drawdown {
    peak: f64,
    /// Largest fall so far, a positive number.
    pub largest: f64,
    /// A mark at or above it is no larger fall: most marks need no division.
    floor: f64,
}

/// What rounding may take from `peak * (1 - largest)`, with room to spare.
const SLACK: f64 = 1.0 + 1e-15;

/// Below it a number may have fewer digits than the slack needs.
const SMALL: f64 = 1e-290;

impl Drawdown {
    /// The peak starts at the initial equity.
    pub fn new(initial: f64) -> Self {
        Self { peak: initial, largest: 0.0, floor: f64::INFINITY }
    }

    /// Whether marks that lie between `worst` and `best` leave everything as it is.
    #[inline]
    pub fn contains(&self, worst: f64, best: f64) -> bool {
        best <= self.peak && worst >= self.floor
    }

    /// Whether marks that lie between `worst` and `best` can be taken without knowing their order: none exceeds the
    /// peak, or even the worst below the best would not be the largest fall.
    pub fn can_absorb(&self, worst: f64, best: f64) -> bool {
        best <= self.peak || 1.0 - worst / best <= self.largest
    }

    /// Takes marks that lie between `worst` and `best`, both among them, where [`Drawdown::can_absorb`] holds.
    pub fn absorb(&mut self, worst: f64, best: f64) {
        self.mark(if best > self.peak { best } else { worst });
    }

    /// Takes the next mark.
    #[inline]
    pub fn mark(&mut self, equity: f64) {
        if equity > self.peak {
            self.peak = equity;
        } else if equity < self.floor {
            let fall = 1.0 - equity / self.peak;
            if fall > self.largest {
                self.largest = fall;
            }
        } else {
            return;
        }
        let floor = self.peak * (1.0 - self.largest) * SLACK;
        // Among the smallest numbers a relative slack is none: there each mark is looked at.
        self.floor = if floor > SMALL { floor } else { f64::INFINITY };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn days_end_with_their_last_bar_and_empty_days_are_skipped() {
        let mut daily = DailyReturns::new(100.0);
        let hour = 3_600_000;
        for (time, equity) in [
            (0, 101.0),
            (23 * hour, 110.0),
            (24 * hour, 99.0),
            (80 * hour, 99.0),
            (96 * hour, 0.0),
            (120 * hour, 0.0),
        ] {
            daily.mark(time, equity);
        }
        daily.finish_day();
        assert_eq!(daily.days, [0, 1, 3, 4, 5]);
        assert_eq!(daily.returns, [110.0 / 100.0 - 1.0, 99.0 / 110.0 - 1.0, 0.0, -1.0, 0.0]);
    }

    #[test]
    fn drawdown_starts_at_the_initial_equity() {
        let mut drawdown = Drawdown::new(100.0);
        for equity in [90.0, 120.0, 60.0, 130.0, 120.0] {
            drawdown.mark(equity);
        }
        assert_eq!(drawdown.largest, 0.5);
    }

    proptest! {
        /// No mark that is passed over could have been the largest fall, however close it comes.
        #[test]
        fn the_floor_hides_no_fall(
            start in prop_oneof![1e-300_f64..1e300, 1.0..2.0],
            steps in prop::collection::vec((0_u8..4, 0.0_f64..2.0), 1..200),
        ) {
            let mut drawdown = Drawdown::new(start);
            let (mut peak, mut largest) = (start, 0.0_f64);
            let mut equity = start;
            for (kind, by) in steps {
                equity = match kind {
                    // Right at what was the largest fall, and a few numbers beside it.
                    0 => peak * (1.0 - largest),
                    1 => (peak * (1.0 - largest)).next_down().next_down(),
                    2 => equity * by,
                    _ => equity * (1.0 + 1e-15 * (by - 1.0)),
                };
                drawdown.mark(equity);
                peak = if equity > peak { equity } else { peak };
                let fall = 1.0 - equity / peak;
                largest = if fall > largest { fall } else { largest };
                prop_assert_eq!(drawdown.largest.to_bits(), largest.to_bits());
            }
        }
    }
}
