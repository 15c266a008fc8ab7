//! What some functions are, written from their definitions; `contract` holds the kernels to it.

use super::registry::count;

/// The definition, bar by bar over all bars up to it, without windows or state; outputs in order.
#[allow(clippy::too_many_lines)] // One arm a function.
pub(super) fn definition(name: &str, p: &[f64], x: &[Vec<f64>], t: usize) -> Vec<f64> {
    let w = p.first().map_or(1, |w| count(*w));
    let x0 = &x[0][..=t];
    let last = |x: &[f64], w: usize| x[x.len() - w..].to_vec();
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let variance = |x: &[f64], ddof: f64| {
        let centre = mean(x);
        x.iter().map(|v| (v - centre).powi(2)).sum::<f64>() / (x.len() as f64 - ddof)
    };
    let ema = |x: &[f64], w: usize| -> Vec<f64> {
        let mut value = mean(&x[..w]);
        let alpha = 2.0 / (w as f64 + 1.0);
        let mut out = vec![value];
        for x in &x[w..] {
            value = alpha * x + (1.0 - alpha) * value;
            out.push(value);
        }
        out
    };
    let wilder =
        |x: &[f64], w: usize| x[w..].iter().fold(mean(&x[..w]), |m, x| m + (x - m) / w as f64);
    let linear = |x: &[f64]| {
        let weights = (1..=x.len()).map(|i| i as f64);
        let total: f64 = weights.clone().sum();
        weights.zip(x).map(|(w, x)| w * x).sum::<f64>() / total
    };
    let largest = |x: &[f64]| x.iter().copied().fold(f64::MIN, f64::max);
    let smallest = |x: &[f64]| x.iter().copied().fold(f64::MAX, f64::min);
    let ranges = || -> Vec<f64> {
        (1..=t)
            .map(|i| {
                let (h, l, c) = (x[0][i], x[1][i], x[2][i - 1]);
                (h - l).max((h - c).abs()).max((l - c).abs())
            })
            .collect()
    };
    let typical = |i: usize| (x[0][i] + x[1][i] + x[2][i]) / 3.0;
    let now = x0[t];
    match name {
        "simple_return" => vec![now / x0[t - w] - 1.0],
        "log_return" => vec![now.ln() - x0[t - w].ln()],
        "sma" => vec![mean(&last(x0, w))],
        "sma_ratio" => vec![now / mean(&last(x0, w)) - 1.0],
        "ema" => vec![ema(x0, w)[t + 1 - w]],
        "ema_ratio" => vec![now / ema(x0, w)[t + 1 - w] - 1.0],
        "wma" => vec![linear(&last(x0, w))],
        "wma_ratio" => vec![now / linear(&last(x0, w)) - 1.0],
        "rsi" => {
            let moves: Vec<f64> = x0.windows(2).map(|w| w[1] - w[0]).collect();
            let up = wilder(&moves.iter().map(|m| m.max(0.0)).collect::<Vec<_>>(), w);
            let down = wilder(&moves.iter().map(|m| (-m).max(0.0)).collect::<Vec<_>>(), w);
            vec![100.0 - 100.0 / (1.0 + up / down)]
        }
        "macd" => {
            let (fast, slow) = (ema(x0, w), ema(x0, count(p[1])));
            let lines: Vec<f64> =
                last(&fast, slow.len()).iter().zip(&slow).map(|(f, s)| f - s).collect();
            let (line, signal) = (lines[lines.len() - 1], ema(&lines, count(p[2])));
            let signal = signal[signal.len() - 1];
            vec![line, signal, line - signal]
        }
        "stoch" => {
            let fast = |i: usize| {
                let (high, low) = (largest(&x[0][i + 1 - w..=i]), smallest(&x[1][i + 1 - w..=i]));
                100.0 * (x[2][i] - low) / (high - low)
            };
            let slow = |i: usize| mean(&(i + 1 - count(p[1])..=i).map(fast).collect::<Vec<_>>());
            vec![slow(t), mean(&(t + 1 - count(p[2])..=t).map(slow).collect::<Vec<_>>())]
        }
        "cci" => {
            let prices: Vec<f64> = (t + 1 - w..=t).map(|i| typical(i) - typical(t)).collect();
            let centre = mean(&prices);
            let spread = mean(&prices.iter().map(|p| (p - centre).abs()).collect::<Vec<_>>());
            vec![-centre / (0.015 * spread)]
        }
        "adx" => {
            let moves = |i: usize| {
                let (up, down) = (x[0][i] - x[0][i - 1], x[1][i - 1] - x[1][i]);
                (
                    if up > down && up > 0.0 { up } else { 0.0 },
                    if down > up && down > 0.0 { down } else { 0.0 },
                )
            };
            // A total that begins with period - 1 bars and then loses a share of 1 / period a bar.
            let total = |pick: &dyn Fn(usize) -> f64, i: usize| {
                let seed: f64 = (1..w).map(pick).sum();
                (w..=i).fold(seed, |s, k| s * (1.0 - 1.0 / w as f64) + pick(k))
            };
            let term = |i: usize| {
                let up = total(&|k| moves(k).0, i);
                let down = total(&|k| moves(k).1, i);
                100.0 * (up - down).abs() / (up + down)
            };
            vec![wilder(&(w..=t).map(term).collect::<Vec<_>>(), w)]
        }
        "atr" => vec![wilder(&ranges(), w)],
        "atr_ratio" => vec![wilder(&ranges(), w) / x[2][t]],
        "bbands" => {
            let values = last(x0, w);
            let (middle, half) = (mean(&values), p[1] * variance(&values, 0.0).sqrt());
            // Less the newest value, as the bands of two near values have few digits left beside the price.
            let near: Vec<f64> = values.iter().map(|v| v - now).collect();
            let reach = p[1] * variance(&near, 0.0).sqrt();
            let position = (reach - mean(&near)) / (2.0 * reach);
            vec![middle + half, middle, middle - half, position, 2.0 * reach / middle]
        }
        "stddev" => vec![variance(&last(x0, w), 0.0).sqrt()],
        "realised_volatility" => {
            let growth: Vec<f64> = last(x0, w + 1).windows(2).map(|w| (w[1] / w[0]).ln()).collect();
            vec![variance(&growth, 1.0).sqrt()]
        }
        "bar_range" => vec![(x[0][t] - x[1][t]) / x[2][t]],
        "obv" => {
            let signed = |i: usize| match x[0][i].total_cmp(&x[0][i - 1]) {
                std::cmp::Ordering::Greater => x[1][i],
                std::cmp::Ordering::Less => -x[1][i],
                std::cmp::Ordering::Equal => 0.0,
            };
            vec![x[1][0] + (1..=t).map(signed).sum::<f64>()]
        }
        "mfi" => {
            let flow = |up: bool| {
                (t + 1 - w..=t)
                    .filter(|i| (typical(*i) > typical(*i - 1)) == up)
                    .map(|i| typical(i) * x[3][i])
                    .sum::<f64>()
            };
            vec![100.0 - 100.0 / (1.0 + flow(true) / flow(false))]
        }
        "volume_zscore" | "zscore" => {
            let values = last(x0, w);
            vec![(now - mean(&values)) / variance(&values, 0.0).sqrt()]
        }
        "vwap_ratio" => {
            let bars = t + 1 - w..=t;
            let traded: f64 = bars.clone().map(|i| typical(i) * x[3][i]).sum();
            vec![x[2][t] / (traded / bars.map(|i| x[3][i]).sum::<f64>()) - 1.0]
        }
        "taker_imbalance" => vec![(now - (x[1][t] - now)) / x[1][t]],
        "max" => vec![largest(&last(x0, w))],
        "min" => vec![smallest(&last(x0, w))],
        "median" => {
            let mut values = last(x0, w);
            values.sort_by(f64::total_cmp);
            vec![0.5 * (values[(w - 1) / 2] + values[w / 2])]
        }
        "rank" => {
            let values = last(x0, w);
            let others = &values[..w - 1];
            let below = others.iter().filter(|v| **v < now).count() as f64;
            let equal = others.iter().filter(|v| **v == now).count() as f64;
            vec![(below + 0.5 * equal) / (w - 1) as f64]
        }
        "time_of_day" => {
            let angle = now % 86_400_000.0 / 86_400_000.0 * 360.0;
            vec![angle.to_radians().sin(), angle.to_radians().cos()]
        }
        "time_of_week" => {
            // 1970-01-05 was a Monday.
            let angle = (now - 345_600_000.0) % 604_800_000.0 / 604_800_000.0 * 360.0;
            vec![angle.to_radians().sin(), angle.to_radians().cos()]
        }
        "lag" => vec![x0[t - w]],
        "diff" => vec![now - x0[t - w]],
        "clip" => vec![now.max(p[0]).min(p[1])],
        "ratio" => vec![now / x[1][t]],
        _ => vec![],
    }
}
