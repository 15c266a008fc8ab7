//! Arithmetic of features, and functions that bend their scale.

use super::node::{Memory, node};
use super::price::PerBar;
use super::registry::{Function, Input, consistent};
use super::undefined::defined;
use crate::numeric;

const ONE: &[Input] = &[Input::Given];
const TWO: &[Input] = &[Input::Given, Input::Given];

const fn row(
    name: &'static str,
    known_as: &'static [&'static str],
    inputs: &'static [Input],
    build: fn(&[f64]) -> Box<dyn super::node::Node>,
    [summary, formula, source]: [&'static str; 3],
) -> Function {
    Function {
        name,
        known_as,
        family: "operators",
        inputs,
        parameters: &[],
        outputs: &[],
        memory: |_| Memory::Finite(1),
        warmup: |_| 0,
        delays: |_| [0, 0],
        check: consistent,
        build,
        summary,
        formula,
        source,
    }
}

/// Rows of this family.
pub const FUNCTIONS: &[Function] = &[
    row(
        "add",
        &["plus"],
        TWO,
        |_| node(PerBar(|[x, y]: [f64; 2]| defined(x + y))),
        ["One value plus another", "x + y.", "As ADD of TA-Lib."],
    ),
    row(
        "sub",
        &["minus", "subtract", "spread"],
        TWO,
        |_| node(PerBar(|[x, y]: [f64; 2]| defined(x - y))),
        ["One value less another", "x - y.", "As SUB of TA-Lib."],
    ),
    row(
        "mult",
        &["times", "multiply", "mul"],
        TWO,
        |_| node(PerBar(|[x, y]: [f64; 2]| defined(x * y))),
        ["One value times another", "x * y.", "As MULT of TA-Lib."],
    ),
    row(
        "ln",
        &["log"],
        ONE,
        |_| node(PerBar(|[x]: [f64; 1]| defined(numeric::ln(x)))),
        [
            "Natural logarithm",
            "ln(x); NaN where x is not above 0.",
            "As LN of TA-Lib, which gives minus infinity at 0.",
        ],
    ),
    row(
        "log10",
        &[],
        ONE,
        |_| node(PerBar(|[x]: [f64; 1]| defined(numeric::log10(x)))),
        [
            "Logarithm to the base of ten",
            "log10(x); NaN where x is not above 0.",
            "As LOG10 of TA-Lib, which gives minus infinity at 0.",
        ],
    ),
    row(
        "sqrt",
        &["square_root"],
        ONE,
        |_| node(PerBar(|[x]: [f64; 1]| defined(x.sqrt()))),
        ["Square root", "sqrt(x); NaN where x is below 0.", "As SQRT of TA-Lib."],
    ),
    row(
        "exp",
        &[],
        ONE,
        |_| node(PerBar(|[x]: [f64; 1]| defined(numeric::exp(x)))),
        [
            "Exponential",
            "e^x; NaN where it overflows.",
            "As EXP of TA-Lib, which gives infinity where it overflows.",
        ],
    ),
    row(
        "tanh",
        &["squash"],
        ONE,
        |_| node(PerBar(|[x]: [f64; 1]| numeric::tanh(x))),
        [
            "Hyperbolic tangent",
            "tanh(x); in [-1, 1]. Draws far values in and leaves small ones nearly alone.",
            "As TANH of TA-Lib.",
        ],
    ),
];

#[cfg(test)]
mod tests {
    use crate::features::contract::single;

    #[test]
    fn arithmetic_by_hand() {
        let (x, y): (&[f64], &[f64]) = (&[4.0, 1.0, 0.0, 1e200], &[2.0, -1.0, 3.0, 1e200]);
        assert_eq!(single("add", &[], &[x, y])[..3], [6.0, 0.0, 3.0]);
        assert_eq!(single("sub", &[], &[x, y])[..3], [2.0, 2.0, -3.0]);
        assert_eq!(single("mult", &[], &[x, y])[..3], [8.0, -1.0, 0.0]);
        assert!(single("mult", &[], &[x, y])[3].is_nan());
        assert_eq!(single("ln", &[], &[x])[1], 0.0);
        assert!(
            single("ln", &[], &[x])[2].is_nan() && single("log10", &[], &[&[-1.0]])[0].is_nan()
        );
        assert_eq!(single("log10", &[], &[&[100.0]]), [2.0]);
        assert_eq!(single("sqrt", &[], &[x])[0], 2.0);
        assert!(single("sqrt", &[], &[y])[1].is_nan() && single("exp", &[], &[x])[3].is_nan());
        assert_eq!(single("exp", &[], &[x])[2], 1.0);
        assert_eq!(single("tanh", &[], &[x])[2..], [0.0, 1.0]);
    }
}
