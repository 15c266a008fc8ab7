//! What every row of the table promises, held on random markets, and each formula against its plain definition.

use std::collections::BTreeMap;

use super::definitions::definition;
use super::node::{Memory, Node, Reader, Writer};
use super::registry::{Function, Input, Kind, functions};

/// `SplitMix64`.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform in `0..n`.
    pub(super) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }

    /// As [`Self::below`], for clocks.
    pub(super) fn slots(&mut self, n: usize) -> i64 {
        i64::try_from(self.below(n)).unwrap()
    }
}

/// Five-minute candles with jumps, spikes of volume and holes in the clock.
struct Market {
    at: Vec<i64>,
    columns: BTreeMap<&'static str, Vec<f64>>,
}

const INTERVAL_MS: f64 = 300_000.0;

fn market(seed: u64, bars: usize) -> Market {
    let mut random = Random(seed);
    // Of their own, so that further columns leave prices as they are.
    let mut further = Random(!seed);
    let mut columns: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
    let (mut slot, mut close) = (5_000_000_i64 + random.slots(256), 100.0_f64);
    let mut at = vec![];
    let (mut times, mut rates) = ([0.0; 2], [1e-4; 2]);
    for _ in 0..bars {
        slot += match random.below(40) {
            0 => 1 + random.slots(9),
            1 => 1 + random.slots(300),
            _ => 1,
        };
        at.push(slot);
        let settled = (slot.div_euclid(96) * 96) as f64 * INTERVAL_MS;
        let settles = settled != times[0];
        if settles {
            times = [settled, settled - 96.0 * INTERVAL_MS];
            rates = [1e-3 * (further.unit() - 0.4), rates[0]];
        }
        let jump = if random.below(100) == 0 { 0.05 } else { 0.002 };
        let open = close * (1.0 + 0.0005 * (random.unit() - 0.5));
        close = open * (1.0 + jump * (random.unit() - 0.5));
        let high = open.max(close) * (1.0 + 0.001 * random.unit());
        let low = open.min(close) * (1.0 - 0.001 * random.unit());
        let volume = if random.below(50) == 0 { 1e6 } else { 10.0 } * (0.1 + random.unit());
        let row = [
            ("open_time", slot as f64 * INTERVAL_MS),
            ("open", open),
            ("high", high),
            ("low", low),
            ("close", close),
            ("volume", volume),
            ("taker_buy_volume", volume * random.unit()),
            ("trades", 1.0 + (100.0 * further.unit()).floor()),
            ("close_time", (slot + 1) as f64 * INTERVAL_MS),
            ("funding_rate", rates[0]),
            ("funding_time", times[0]),
            ("funding_rate_before", rates[1]),
            ("funding_time_before", times[1]),
            ("funding_paid", if settles { rates[0] } else { 0.0 }),
        ];
        for (name, value) in row {
            columns.entry(name).or_default().push(value);
        }
    }
    Market { at, columns }
}

type Columns = Vec<Vec<f64>>;

fn inputs(function: &Function, market: &Market) -> Columns {
    let mut given = ["close", "volume"].into_iter();
    let name = |input: &Input| match input {
        Input::Column(name) | Input::Series(name) => *name,
        Input::Given => given.next().unwrap(),
    };
    function.inputs.iter().map(name).map(|name| market.columns[name].clone()).collect()
}

/// Several settings of every row: the least, the defaults, and random ones.
fn settings(function: &Function, random: &mut Random) -> Vec<Vec<f64>> {
    let mut all: Vec<Vec<f64>> = vec![];
    for round in 0..8 {
        let mut real = [99.0, 101.0].into_iter();
        let values: Vec<f64> = function
            .parameters
            .iter()
            .map(|p| match (p.kind, round) {
                (Kind::Whole(..), 0) => p.default.unwrap_or(10.0),
                (Kind::Whole(least, _), 1) => f64::from(least),
                (Kind::Whole(least, most), _) => {
                    f64::from(least) + random.below((most - least + 1).min(40) as usize) as f64
                }
                (Kind::Real, 0) if p.default.is_some() => p.default.unwrap(),
                (Kind::Real, _) => real.next().unwrap(),
                (Kind::Positive, _) => 0.5 + 3.0 * random.unit(),
                (Kind::Within(low, _), 0) => p.default.unwrap_or(low),
                (Kind::Within(low, high), _) => low + (high - low).min(1.0) * random.unit(),
            })
            .collect();
        if (function.check)(&values).is_none() && !all.contains(&values) {
            all.push(values);
        }
    }
    assert!(!all.is_empty(), "{}", function.name);
    all
}

fn each_setting(mut test: impl FnMut(&'static Function, &[f64], &str)) {
    let mut random = Random(7);
    for function in functions() {
        for values in settings(function, &mut random) {
            test(function, &values, &format!("{}{values:?}", function.name));
        }
    }
}

/// Rows `from..` in blocks of the sizes that `size` gives.
fn run(
    node: &mut dyn Node,
    width: usize,
    at: &[i64],
    inputs: &[Vec<f64>],
    mut size: impl FnMut() -> usize,
) -> Columns {
    let mut out = vec![vec![0.0; at.len()]; width];
    let mut from = 0;
    while from < at.len() {
        let to = at.len().min(from + size());
        let x: Vec<&[f64]> = inputs.iter().map(|x| &x[from..to]).collect();
        let mut y: Vec<&mut [f64]> = out.iter_mut().map(|y| &mut y[from..to]).collect();
        node.block(&at[from..to], &x, &mut y);
        from = to;
    }
    out
}

fn compute(function: &Function, values: &[f64], at: &[i64], inputs: &[Vec<f64>]) -> Columns {
    let mut node = (function.build)(values);
    run(&mut *node, function.width(), at, inputs, || 1024)
}

fn from(inputs: &[Vec<f64>], start: usize) -> Columns {
    inputs.iter().map(|x| x[start..].to_vec()).collect()
}

/// Bits, any NaN being one.
fn bits(column: &[f64]) -> Vec<u64> {
    column.iter().map(|x| if x.is_nan() { u64::MAX } else { x.to_bits() }).collect()
}

#[track_caller]
fn same(a: &[f64], b: &[f64], what: &str) {
    assert_eq!(a.len(), b.len(), "{what}");
    let first = bits(a).iter().zip(bits(b)).position(|(a, b)| *a != b);
    if let Some(i) = first {
        panic!("{what}: row {i} is {} and {}", a[i], b[i]);
    }
}

#[test]
fn names_are_unique_and_every_row_is_documented() {
    let mut names: Vec<&str> = functions().flat_map(|f| [&[f.name], f.known_as].concat()).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
    for f in functions() {
        assert!(!f.summary.is_empty() && !f.summary.ends_with('.'), "{}", f.name);
        assert!(f.formula.ends_with('.') && f.source.ends_with('.'), "{}", f.name);
    }
}

#[test]
fn every_parameter_has_an_effect_on_some_output() {
    let market = market(16, 300);
    // Patterns are too rare here: tests/features has candles that make them.
    for f in functions().filter(|f| f.family != "patterns") {
        let x = inputs(f, &market);
        let values = settings(f, &mut Random(1)).remove(0);
        let before = compute(f, &values, &market.at, &x);
        for i in 0..values.len() {
            let mut changed = values.clone();
            // Some that may not be larger may be smaller, and prices do not see thresholds below them.
            changed[i] = match f.parameters[i].kind {
                Kind::Within(..) if values[i] > 0.0 => 0.5 * values[i],
                Kind::Positive => 100.0 * values[i],
                _ => values[i] + 1.0,
            };
            let after = compute(f, &changed, &market.at, &x);
            let differs = before.iter().zip(&after).any(|(a, b)| bits(a) != bits(b));
            assert!(differs, "{} {}", f.name, f.parameters[i].name);
        }
    }
}

#[test]
fn blocks_of_any_size_and_single_steps_give_the_same_bits() {
    let market = market(1, 700);
    let mut random = Random(2);
    each_setting(|f, values, what| {
        let x = inputs(f, &market);
        let whole = compute(f, values, &market.at, &x);
        for most in [1, 5, 300] {
            let size = || 1 + random.below(most);
            let pieces = run(&mut *(f.build)(values), f.width(), &market.at, &x, size);
            for (a, b) in whole.iter().zip(&pieces) {
                same(a, b, what);
            }
        }
    });
}

#[test]
fn what_comes_later_changes_nothing() {
    let market = market(3, 400);
    each_setting(|f, values, what| {
        let x = inputs(f, &market);
        let whole = compute(f, values, &market.at, &x);
        for k in [0, 1, 7, 150, 399] {
            let mut changed = x.clone();
            for column in &mut changed {
                column[k..].iter_mut().for_each(|v| *v *= -3.0);
            }
            let other = compute(f, values, &market.at, &changed);
            for (a, b) in whole.iter().zip(&other) {
                same(&a[..k], &b[..k], what);
            }
        }
    });
}

#[test]
fn warmup_is_the_first_finite_row_of_every_output() {
    let market = market(4, 700);
    each_setting(|f, values, what| {
        let warmup = usize::try_from((f.warmup)(values)).unwrap();
        for column in compute(f, values, &market.at, &inputs(f, &market)) {
            assert!(column[..warmup].iter().all(|v| v.is_nan()), "{what}");
            assert!(column[warmup..].iter().all(|v| v.is_finite()), "{what}");
        }
        if let Memory::Finite(n) = (f.memory)(values) {
            assert_eq!(n, warmup as u64 + 1, "{what}");
        }
    });
}

#[test]
fn finite_memory_gives_the_same_bits_from_every_start() {
    let market = market(5, 400);
    each_setting(|f, values, what| {
        let Memory::Finite(n) = (f.memory)(values) else { return };
        let n = usize::try_from(n).unwrap();
        let x = inputs(f, &market);
        let whole = compute(f, values, &market.at, &x);
        for start in 0..=400 - n {
            let later = compute(f, values, &market.at[start..], &from(&x, start));
            for (a, b) in whole.iter().zip(&later) {
                same(&a[start + n - 1..], &b[n - 1..], &format!("{what} from {start}"));
            }
        }
    });
}

#[test]
fn fading_memory_agrees_from_every_start_after_its_bars() {
    for seed in 10..13 {
        let usual = market(seed, 6_000);
        let mut random = Random(seed);
        each_setting(|f, values, what| {
            let Memory::Fading(n) = (f.memory)(values) else { return };
            let n = usize::try_from(n).unwrap();
            let long = (n > 5_000).then(|| market(seed, n + 1_000));
            let market = long.as_ref().unwrap_or(&usual);
            let bars = market.at.len();
            let x = inputs(f, market);
            let whole = compute(f, values, &market.at, &x);
            for _ in 0..20 {
                let start = random.below(bars - n);
                let later = compute(f, values, &market.at[start..], &from(&x, start));
                for (a, b) in whole.iter().zip(&later) {
                    let mut size: Vec<f64> =
                        a.iter().filter(|v| !v.is_nan()).map(|v| v.abs()).collect();
                    size.sort_unstable_by(f64::total_cmp);
                    let typical = size[size.len() / 2];
                    for (i, (a, b)) in a[start + n..].iter().zip(&b[n..]).enumerate() {
                        let size = a.abs().max(typical);
                        assert!(
                            (a - b).abs() <= 1e-9 * size,
                            "{what} from {start} at {i}: {a} and {b}"
                        );
                    }
                }
            }
        });
    }
}

#[test]
fn state_saved_at_any_bar_continues_with_the_same_bits() {
    let market = market(6, 300);
    let mut random = Random(6);
    each_setting(|f, values, what| {
        // A NaN in every input now and then, so that what is held between is saved too.
        let mut x = inputs(f, &market);
        for column in &mut x {
            column[40 + random.below(200)] = f64::NAN;
        }
        let whole = compute(f, values, &market.at, &x);
        for k in (0..20).chain([random.below(300), random.below(300), 299]) {
            let mut saved = (f.build)(values);
            let head: Columns = x.iter().map(|x| x[..k].to_vec()).collect();
            run(&mut *saved, f.width(), &market.at[..k], &head, || 64);
            let mut writer = Writer::default();
            saved.visit(&mut writer);
            let mut loaded = (f.build)(values);
            let mut reader = Reader::new(&writer.bytes);
            loaded.visit(&mut reader);
            reader.finish().unwrap();
            let mut again = Writer::default();
            loaded.copy().visit(&mut again);
            assert_eq!(writer.bytes, again.bytes, "{what} at {k}");
            for node in [&mut saved, &mut loaded] {
                let tail = run(&mut **node, f.width(), &market.at[k..], &from(&x, k), || 64);
                for (a, b) in whole.iter().zip(&tail) {
                    same(&a[k..], b, &format!("{what} at {k}"));
                }
            }
        }
    });
}

#[test]
fn state_from_a_foreign_file_does_no_harm() {
    let market = market(8, 120);
    let mut random = Random(8);
    each_setting(|f, values, _| {
        let x = inputs(f, &market);
        let mut node = (f.build)(values);
        run(&mut *node, f.width(), &market.at, &x, || 64);
        let mut writer = Writer::default();
        node.visit(&mut writer);
        for _ in 0..30 {
            let mut bytes = writer.bytes.clone();
            for _ in 0..3 {
                if let Some(byte) = (!bytes.is_empty()).then(|| random.below(bytes.len())) {
                    bytes[byte] ^= 1 << random.below(8);
                }
            }
            let mut loaded = (f.build)(values);
            loaded.visit(&mut Reader::new(&bytes));
            run(&mut *loaded, f.width(), &market.at, &x, || 64);
        }
    });
}

#[test]
fn windows_forget_a_nan_and_recursions_step_over_it() {
    let market = market(9, 400);
    let mut random = Random(9);
    each_setting(|f, values, what| {
        let x = inputs(f, &market);
        let clean = compute(f, values, &market.at, &x);
        for column in 0..x.len() {
            let i = random.below(300);
            let mut holed = x.clone();
            holed[column][i] = f64::NAN;
            let got = compute(f, values, &market.at, &holed);
            let what = format!("{what}, input {column}, bar {i}");
            if let Memory::Finite(n) = (f.memory)(values) {
                let after = 400.min(i + usize::try_from(n).unwrap());
                for (a, b) in clean.iter().zip(&got) {
                    same(&a[..i], &b[..i], &what);
                    same(&a[after..], &b[after..], &what);
                    // Inside, a value stands as it was or is NaN, never something else.
                    let inside = a[i..after].iter().zip(&b[i..after]);
                    assert!(inside.clone().any(|(_, b)| b.is_nan()), "{what}");
                    for (a, b) in inside {
                        assert!(b.is_nan() || a.to_bits() == b.to_bits(), "{what}: {a} and {b}");
                    }
                }
            } else {
                let without = |v: &[f64]| [&v[..i], &v[i + 1..]].concat();
                let at = [&market.at[..i], &market.at[i + 1..]].concat();
                let skipped: Columns = x.iter().map(|x| without(x)).collect();
                for (a, b) in compute(f, values, &at, &skipped).iter().zip(&got) {
                    assert!(b[i].is_nan(), "{what}");
                    same(a, &without(b), &what);
                }
            }
        }
    });
}

#[test]
fn windows_forget_an_infinity() {
    let market = market(14, 500);
    each_setting(|f, values, what| {
        let Memory::Finite(n) = (f.memory)(values) else { return };
        let x = inputs(f, &market);
        let clean = compute(f, values, &market.at, &x);
        for spike in [f64::INFINITY, f64::NEG_INFINITY, 1e300, -1e300] {
            let mut spiked = x.clone();
            for column in &mut spiked {
                column[100] = spike;
            }
            let after = 100 + usize::try_from(n).unwrap();
            for (a, b) in clean.iter().zip(&compute(f, values, &market.at, &spiked)) {
                same(&a[..100], &b[..100], what);
                same(&a[after..], &b[after..], what);
            }
        }
    });
}

#[test]
fn every_formula_agrees_with_its_definition_at_every_bar() {
    let bars = 130;
    let market = market(15, bars);
    each_setting(|f, values, what| {
        let x = inputs(f, &market);
        let got = compute(f, values, &market.at, &x);
        let warmup = usize::try_from((f.warmup)(values)).unwrap();
        for t in warmup..bars {
            let want = definition(f.name, values, &x, t);
            if want.is_empty() {
                // tests/features holds it to its twin or to another implementation.
                continue;
            }
            assert_eq!(want.len(), got.len(), "{what}");
            for (want, got) in want.iter().zip(&got) {
                // Some outputs cross zero; their unit is a fraction, a z-score or a price near 100.
                let error = (want - got[t]).abs() / want.abs().max(1.0);
                assert!(error < 1e-11, "{what} at {t}: {} instead of {want}", got[t]);
            }
        }
    });
}

/// All outputs of a function over the given inputs, on a clock without holes.
pub(super) fn all(name: &str, values: &[f64], x: &[&[f64]]) -> Columns {
    let f = functions().find(|f| f.name == name).unwrap();
    let at: Vec<i64> = (0..x[0].len()).map(|i| i64::try_from(i).unwrap()).collect();
    let x: Columns = x.iter().map(|x| x.to_vec()).collect();
    compute(f, values, &at, &x)
}

/// The output of a function that has one.
pub(super) fn single(name: &str, values: &[f64], x: &[&[f64]]) -> Vec<f64> {
    let mut outputs = all(name, values, x);
    assert_eq!(outputs.len(), 1);
    outputs.remove(0)
}

/// Columns of one function over a market where nothing moves and nothing is traded.
fn still(name: &str, values: &[f64]) -> Vec<f64> {
    let f = functions().find(|f| f.name == name).unwrap();
    let x: Columns = f
        .inputs
        .iter()
        .map(|input| match input {
            Input::Column("volume" | "taker_buy_volume") => vec![0.0; 60],
            _ => vec![0.1; 60],
        })
        .collect();
    let at: Vec<i64> = (0..60).collect();
    compute(f, values, &at, &x).iter().map(|column| column[59]).collect()
}

#[test]
fn a_market_where_nothing_moves_gives_what_the_table_says() {
    for (name, values, want) in [
        ("simple_return", &[1.0][..], &[0.0][..]),
        ("log_return", &[1.0], &[0.0]),
        ("rsi", &[14.0], &[50.0]),
        ("macd", &[12.0, 26.0, 9.0], &[0.0, 0.0, 0.0]),
        ("stoch", &[14.0, 3.0, 3.0], &[50.0, 50.0]),
        ("cci", &[20.0], &[0.0]),
        ("adx", &[14.0], &[0.0]),
        ("atr", &[14.0], &[0.0]),
        ("bbands", &[20.0, 2.0], &[0.1, 0.1, 0.1, f64::NAN, 0.0]),
        ("stddev", &[20.0], &[0.0]),
        ("realised_volatility", &[20.0], &[0.0]),
        ("bar_range", &[], &[0.0]),
        ("obv", &[], &[0.0]),
        ("mfi", &[14.0], &[50.0]),
        ("volume_zscore", &[20.0], &[f64::NAN]),
        ("vwap_ratio", &[20.0], &[f64::NAN]),
        ("taker_imbalance", &[], &[0.0]),
        ("rank", &[20.0], &[0.5]),
        ("zscore", &[20.0], &[f64::NAN]),
        ("parkinson", &[20.0], &[0.0]),
        ("garman_klass", &[20.0], &[0.0]),
        ("rogers_satchell", &[20.0], &[0.0]),
        ("yang_zhang", &[20.0], &[0.0]),
        ("realised_variance", &[20.0], &[0.0]),
        ("jump_share", &[20.0], &[f64::NAN]),
        ("downside_volatility", &[20.0], &[0.0]),
        ("semivariance_balance", &[20.0], &[f64::NAN]),
        ("realised_kurtosis", &[20.0], &[f64::NAN]),
        ("ewma_volatility", &[20.0], &[0.0]),
        ("skewness", &[20.0], &[f64::NAN]),
        ("kurtosis", &[20.0], &[f64::NAN]),
        ("quantile", &[20.0, 0.3], &[0.1]),
        ("mad", &[20.0], &[0.0]),
        ("robust_zscore", &[20.0], &[f64::NAN]),
        ("quantile_skew", &[20.0], &[f64::NAN]),
        ("variation", &[20.0], &[0.0]),
        ("autocorrelation", &[20.0, 1.0], &[f64::NAN]),
        ("variance_ratio", &[20.0, 2.0], &[f64::NAN]),
        ("hurst", &[20.0], &[f64::NAN]),
        ("entropy", &[20.0, 10.0], &[0.0]),
        ("permutation_entropy", &[20.0, 3.0], &[0.0]),
        ("trend_fit", &[20.0], &[0.0, f64::NAN]),
        ("mean_reversion", &[20.0], &[f64::NAN, f64::NAN]),
        ("efficiency_ratio", &[20.0], &[0.0]),
        ("choppiness", &[20.0], &[f64::NAN]),
        ("fractal_dimension", &[8.0], &[f64::NAN]),
        ("drawdown", &[20.0], &[0.0]),
        ("run_up", &[20.0], &[0.0]),
        ("max_drawdown", &[20.0], &[0.0]),
        ("bars_since_high", &[20.0], &[0.0]),
        ("range_position", &[20.0], &[0.5]),
        ("body_share", &[], &[0.0]),
        ("upper_wick", &[], &[0.0]),
        ("close_position", &[], &[0.5]),
        ("bar_overlap", &[], &[1.0]),
        ("run_length", &[20.0], &[0.0]),
        ("donchian", &[20.0], &[0.1, 0.1, 0.1, 0.5, 0.0]),
        ("keltner", &[20.0, 10.0, 2.0], &[0.1, 0.1, 0.1, f64::NAN]),
        ("fisher", &[10.0], &[0.0, 0.0]),
        ("vortex", &[20.0], &[f64::NAN, f64::NAN]),
        ("tsi", &[10.0, 5.0], &[0.0]),
        ("smi", &[10.0, 3.0, 3.0], &[0.0]),
        ("mass_index", &[9.0, 5.0], &[f64::NAN]),
        ("relative_vigor", &[10.0], &[0.0, 0.0]),
        ("amihud", &[20.0], &[f64::NAN]),
        ("roll_spread", &[20.0], &[0.0]),
        ("corwin_schultz", &[20.0], &[0.0]),
        ("abdi_ranaldo", &[20.0], &[0.0]),
        ("kyle_lambda", &[20.0], &[f64::NAN]),
        ("flow_imbalance", &[20.0], &[f64::NAN]),
        ("covariance", &[20.0], &[0.0]),
        ("regression", &[20.0], &[f64::NAN; 4]),
        ("spread_zscore", &[20.0], &[f64::NAN]),
    ] {
        same(&still(name, values), want, name);
    }
}
