//! The state of an account, field by field in one fixed order, so that saving and loading cannot disagree.
//!
//! Carried by [`Visit`], as the state of features is. What is held by reference, the rules, is carried as its number in
//! a book of rules that both sides hold.

use crate::backtest::record::{Reason, Side};
use crate::backtest::rules::Rules;
use crate::features::node::Visit;

/// Numbers of bars lie far below this, whatever the machine.
const MOST: i64 = 1 << 53;

/// A number of bars.
pub fn count(state: &mut dyn Visit, value: &mut usize) {
    let mut whole = i64::try_from(*value).unwrap_or(MOST);
    state.int(&mut whole);
    *value = usize::try_from(whole.min(MOST)).unwrap_or(0);
}

/// A flag.
pub fn flag(state: &mut dyn Visit, value: &mut bool) {
    let mut whole = i64::from(*value);
    state.int(&mut whole);
    *value = whole == 1;
}

/// A side.
pub fn side(state: &mut dyn Visit, value: &mut Side) {
    let mut long = *value == Side::Long;
    flag(state, &mut long);
    *value = if long { Side::Long } else { Side::Short };
}

/// A reason, or none.
pub fn reason(state: &mut dyn Visit, value: &mut Option<Reason>) {
    let number = value.and_then(|found| Reason::ALL.iter().position(|known| *known == found));
    let mut whole = number.map_or(0, |number| number + 1);
    count(state, &mut whole);
    *value = whole.checked_sub(1).and_then(|number| Reason::ALL.get(number).copied());
}

/// Rules by their number in `book`, which must hold them.
pub fn rules<'r>(state: &mut dyn Visit, value: &mut &'r Rules, book: &'r [Rules]) {
    let found = book.iter().position(|known| std::ptr::eq(known, *value));
    let mut number = found.unwrap_or(usize::MAX);
    count(state, &mut number);
    if let Some(found) = book.get(number) {
        *value = found;
    }
}

/// Something that may be absent; `blank` is what a loaded one is written into.
pub fn optional<T>(
    state: &mut dyn Visit,
    value: &mut Option<T>,
    blank: impl FnOnce() -> T,
    visit: impl FnOnce(&mut T, &mut dyn Visit),
) {
    let mut there = value.is_some();
    flag(state, &mut there);
    if there {
        visit(value.get_or_insert_with(blank), state);
    } else {
        *value = None;
    }
}
