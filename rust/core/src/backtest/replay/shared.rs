//! The steps of a bar, apart, for an account that several symbols share (section 7).

use super::Replay;
use crate::backtest::record::Observer;
use crate::backtest::replay::StepInput;
use crate::backtest::rules::Fill;

impl<'r> Replay<'r> {
    /// Steps 1, 2, the exits of 3, and 4 of a bar, apart for an account that several symbols share (section 7).
    pub(in crate::backtest) fn before_entries(
        &mut self,
        input: &StepInput<'r, '_>,
        out: &mut impl Observer,
    ) {
        let piece = input.whole();
        self.settle_funding(input, out);
        self.liquidate_at_open(input, &piece, out);
        let carried = self.position.is_some() && self.queued_exit.is_none();
        self.leave_queued(input, Fill::NextOpen, out);
        if carried {
            self.stop_or_target_at_open(input, &piece, out);
        }
    }

    /// The market entry that is queued to fill so, and how far its signal lies above its threshold.
    pub(in crate::backtest) fn queued(&self, mode: Fill) -> Option<f64> {
        self.queued_entry.filter(|order| order.rules.fill == mode).map(|order| order.excess())
    }

    /// Likewise for any entry that is due at the open: a market order, or a resting one that fills there.
    pub(in crate::backtest) fn due_at_open(&self, input: &StepInput<'r, '_>) -> Option<f64> {
        let resting = self.resting.as_ref().filter(|resting| {
            let (better, open) = (resting.order.side.opposite(), input.bar.open);
            self.position.is_none()
                && if input.index == resting.first_bar {
                    better.at_or_beyond(open, resting.level)
                } else {
                    better.beyond(open, resting.level)
                }
        });
        self.queued(Fill::NextOpen).or(resting.map(|resting| resting.order.excess()))
    }

    /// Fills the entry that is due at the open.
    pub(in crate::backtest) fn enter_at_open(
        &mut self,
        input: &StepInput<'r, '_>,
        out: &mut impl Observer,
    ) {
        if self.queued(Fill::NextOpen).is_some() {
            self.enter_queued(input, Fill::NextOpen, out);
        } else {
            self.fill_resting(input, &input.whole(), out);
        }
    }

    /// The rest of a bar, after the entries at its open.
    pub(in crate::backtest) fn after_entries(
        &mut self,
        input: &StepInput<'r, '_>,
        out: &mut impl Observer,
    ) {
        let piece = input.whole();
        let just_inside = self.fill_resting(input, &piece, out);
        self.inside(input, &piece, just_inside, out);
        self.resting.take_if(|resting| input.index >= resting.last_bar);
        self.at_close(input, true, out);
    }
}
