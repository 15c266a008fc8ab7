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
        // A mark of zero has nothing left to gain or lose from; after ruin every day is one.
        let change = if self.previous == 0.0 { 0.0 } else { self.latest / self.previous - 1.0 };
        self.returns.push(change);
        self.previous = self.latest;
        self.day = i64::MIN;
    }
}

/// Largest relative fall from a running peak.
#[derive(Clone, Copy, Debug)]
pub struct Drawdown {
    peak: f64,
    /// Largest fall so far, a positive number.
    pub largest: f64,
}

impl Drawdown {
    /// The peak starts at the initial equity.
    pub fn new(initial: f64) -> Self {
        Self { peak: initial, largest: 0.0 }
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
    pub fn mark(&mut self, equity: f64) {
        if equity > self.peak {
            self.peak = equity;
            return;
        }
        let fall = 1.0 - equity / self.peak;
        if fall > self.largest {
            self.largest = fall;
        }
    }
}

#[cfg(test)]
mod tests {
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
}
