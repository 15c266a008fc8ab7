//! A set of features over whole candles of many symbols, written straight into the caller's array.
//!
//! Rows of several *books* (a symbol whose rows are wanted, with the candles that its features read) stand one below the
//! other. Features of a book that share no step are dealt to *parts*; each part has an engine of its own and writes
//! columns of its own, a block of rows at a time, so that nothing but the blocks is held beside the output and no
//! bit depends on the threads; where it lives on the candles' own bars it goes the short way of `direct`. A table can be
//! filled whole, or some rows at a time in order.
//!
//! Parts write to one row-major array at once. Their cells are taken as atomic numbers: a relaxed store is the plain
//! store on x86-64 and aarch64, and the compiler knows that it is allowed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use rayon::prelude::*;

use super::batch::feeds_of;
use super::direct::{Direct, Sink};
use super::graph::Graph;
use super::node::BLOCK;
use super::stream::{Engine, Place};
use crate::bars::Bars;
use crate::simd::Simd;
use crate::{Error, Result};

/// Rows that are written column by column before the next: their lines of the output stay in the first-level cache.
const TILE: usize = 16;
/// Parts a thread: who is done early takes another.
const PARTS: usize = 2;

/// Cells of the output, by the precision that they are rounded to.
#[derive(Clone, Copy)]
pub enum Cells<'a> {
    /// Rounded once.
    F32(&'a [AtomicU32]),
    /// As computed.
    F64(&'a [AtomicU64]),
}

impl<'a> Cells<'a> {
    /// Cells of an array of floats.
    pub fn f64(array: &'a mut [f64]) -> Self {
        // SAFETY: an atomic number has the size and the alignment of the plain one on every machine that has it
        // (asserted below), any bits are a value of it, and the array is borrowed mutably for as long.
        Self::F64(unsafe { std::slice::from_raw_parts(array.as_mut_ptr().cast(), array.len()) })
    }

    /// Cells of an array of single floats.
    pub fn f32(array: &'a mut [f32]) -> Self {
        // SAFETY: as in `f64`.
        Self::F32(unsafe { std::slice::from_raw_parts(array.as_mut_ptr().cast(), array.len()) })
    }

    fn len(self) -> usize {
        match self {
            Self::F32(cells) => cells.len(),
            Self::F64(cells) => cells.len(),
        }
    }
}

/// One cell of the output.
trait Cell {
    fn put(&self, value: f64);
}

impl Cell for AtomicU32 {
    #[inline]
    #[allow(clippy::cast_possible_truncation)] // f32 is what the caller asked for
    fn put(&self, value: f64) {
        self.store((value as f32).to_bits(), Ordering::Relaxed);
    }
}

impl Cell for AtomicU64 {
    #[inline]
    fn put(&self, value: f64) {
        self.store(value.to_bits(), Ordering::Relaxed);
    }
}

const _: () = assert!(align_of::<AtomicU64>() == align_of::<f64>());
const _: () = assert!(align_of::<AtomicU32>() == align_of::<f32>());

/// Where rows and columns lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A row's values stand together: what models read.
    Rows,
    /// A column's values stand together: what files of columns read.
    Columns,
}

/// A symbol whose rows are wanted.
pub struct Book {
    /// Candles by symbol; the first is the one that rows are made for.
    pub symbols: Vec<(String, Arc<Bars>)>,
    /// One column a feature of the user's own, of the first symbol's length.
    pub own: Vec<Vec<f64>>,
    /// Bars of the first symbol that get a row, in order; None: all.
    pub keep: Option<Vec<usize>>,
}

impl Book {
    fn rows(&self) -> usize {
        self.keep.as_ref().map_or_else(|| self.symbols[0].1.len(), Vec::len)
    }
}

struct Part {
    book: usize,
    engine: Engine,
    /// The short way, where the candles' own clock is enough, and the columns of a block that it fills.
    direct: Option<(Direct, Vec<f64>)>,
    place: Place,
    /// Columns that it writes.
    columns: Vec<usize>,
    /// Which of the book's symbols each feed is.
    feeds: Vec<usize>,
    /// Rows that it has written.
    rows: usize,
}

/// A table that is being filled.
pub struct Table {
    width: usize,
    books: Vec<Book>,
    /// The first row of each book, and the number of rows.
    starts: Vec<usize>,
    parts: Vec<Part>,
    pool: Option<rayon::ThreadPool>,
    filled: usize,
}

impl Table {
    /// Of a set, for books of one or more symbols.
    pub fn new(graph: &Graph, books: Vec<Book>, threads: usize) -> Result<Self> {
        Simd::chosen()?;
        let threads = threads.max(1);
        let mut starts = vec![0];
        let mut parts = vec![];
        for (number, book) in books.iter().enumerate() {
            let (_, base) = &book.symbols[0];
            for (name, column) in graph.own.iter().zip(&book.own) {
                if column.len() != base.len() {
                    return Err(Error::Length {
                        name: name.clone(),
                        len: column.len(),
                        other: "the candles",
                        other_len: base.len(),
                    });
                }
            }
            let wanted = if threads == 1 { 1 } else { (PARTS * threads).div_ceil(books.len()) };
            for columns in shares(graph, wanted) {
                let features = columns.iter().map(|k| graph.features[*k].clone()).collect();
                let part = Arc::new(Graph::new(features, &graph.own)?);
                let symbols: Vec<_> =
                    book.symbols.iter().map(|(name, bars)| (name.as_str(), &**bars)).collect();
                let engine = Engine::new(part.clone(), symbols[0].0, base.interval_ms())?;
                let room = columns.len() * BLOCK;
                let direct = Direct::new(part, Sink::Read).map(|direct| (direct, vec![0.0; room]));
                let feeds = feeds_of(&engine, &symbols)?;
                let bars: Vec<&Bars> = feeds.iter().map(|k| symbols[*k].1).collect();
                for (feed, bars) in bars.iter().enumerate() {
                    engine.further_columns(feed, bars)?;
                }
                let place = Place::new(feeds.len());
                parts.push(Part { book: number, engine, direct, place, columns, feeds, rows: 0 });
            }
            starts.push(starts[number] + book.rows());
        }
        let pool =
            if threads == 1 || parts.len() == 1 {
                None
            } else {
                // A pool of its own: a global one would not survive a fork.
                let built = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                Some(built.map_err(|e| {
                    Error::parameter("threads", threads, format!("startable ({e})"))
                })?)
            };
        Ok(Self { width: graph.features.len(), books, starts, parts, pool, filled: 0 })
    }

    /// Rows in all.
    pub fn rows(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }

    /// Rows that were filled.
    pub fn filled(&self) -> usize {
        self.filled
    }

    /// Number of features.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Fills the next rows, as many as `cells` hold or are left; their number. Cells behind them are not touched.
    ///
    /// None if `cancel` was set: the table is then of no more use. `done` counts the cells that were written.
    pub fn fill(
        &mut self,
        cells: Cells<'_>,
        layout: Layout,
        cancel: &AtomicBool,
        done: &AtomicUsize,
    ) -> Result<Option<usize>> {
        let height = cells.len() / self.width.max(1);
        let (from, to) = (self.filled, self.rows().min(self.filled + height));
        let target = Target { cells, layout, width: self.width, height, from };
        let (books, starts) = (&self.books, &self.starts);
        let run = |part: &mut Part, to: usize| {
            let first = starts[part.book];
            let until = to.clamp(first, starts[part.book + 1]) - first;
            part.fill(&books[part.book], first, until, target, cancel, done)
        };
        let parts = &mut self.parts;
        if let Some(pool) = &self.pool {
            let run = |part: &mut Part| run(part, to);
            let finished: Vec<bool> =
                pool.install(|| parts.par_iter_mut().map(run).collect::<Result<_>>())?;
            if !finished.into_iter().all(|whole| whole) {
                return Ok(None);
            }
        } else {
            // In turns, so that what one part wrote of a row is in the cache when the next one writes its own.
            let mut row = from;
            while row < to {
                row = to.min(row + BLOCK);
                for part in &mut *parts {
                    if !run(part, row)? {
                        return Ok(None);
                    }
                }
            }
        }
        self.filled = to;
        Ok(Some(to - from))
    }
}

#[derive(Clone, Copy)]
struct Target<'a> {
    cells: Cells<'a>,
    layout: Layout,
    width: usize,
    /// Rows that there is room for.
    height: usize,
    /// Row of the table that stands first.
    from: usize,
}

impl Target<'_> {
    /// Writes one value.
    fn put(self, row: usize, column: usize, value: f64) {
        let row = row - self.from;
        let at = match self.layout {
            Layout::Rows => row * self.width + column,
            Layout::Columns => column * self.height + row,
        };
        match self.cells {
            Cells::F32(cells) => cells[at].put(value),
            Cells::F64(cells) => cells[at].put(value),
        }
    }

    /// Writes a block of values from a row on, by column.
    fn put_block(self, row: usize, columns: &[usize], values: &[&[f64]]) {
        match self.cells {
            Cells::F32(cells) => self.spread(cells, row - self.from, columns, values),
            Cells::F64(cells) => self.spread(cells, row - self.from, columns, values),
        }
    }

    fn spread<C: Cell>(self, cells: &[C], row: usize, columns: &[usize], values: &[&[f64]]) {
        let count = values.first().map_or(0, |column| column.len());
        if self.layout == Layout::Columns {
            for (values, column) in values.iter().zip(columns) {
                let cells = &cells[column * self.height + row..][..count];
                for (cell, value) in cells.iter().zip(*values) {
                    cell.put(*value);
                }
            }
            return;
        }
        for start in (0..count).step_by(TILE) {
            let end = count.min(start + TILE);
            let cells = &cells[(row + start) * self.width..(row + end) * self.width];
            for (values, column) in values.iter().zip(columns) {
                let cells = cells[*column..].iter().step_by(self.width);
                for (cell, value) in cells.zip(&values[start..end]) {
                    cell.put(*value);
                }
            }
        }
    }
}

impl Part {
    /// Writes rows up to `until` of its book, whose first row is `first`.
    fn fill(
        &mut self,
        book: &Book,
        first: usize,
        until: usize,
        target: Target<'_>,
        cancel: &AtomicBool,
        done: &AtomicUsize,
    ) -> Result<bool> {
        if until <= self.rows {
            return Ok(true);
        }
        let feeds: Vec<&Bars> = self.feeds.iter().map(|k| &*book.symbols[*k].1).collect();
        let own: Vec<&[f64]> = book.own.iter().map(Vec::as_slice).collect();
        let bar = book.keep.as_ref().map_or(until, |keep| keep[until - 1] + 1);
        let (columns, rows) = (&self.columns, &mut self.rows);
        let mut take = |from: usize, values: &[&[f64]]| {
            let count = values.first().map_or(0, |column| column.len());
            let wrote = *rows;
            match &book.keep {
                None => {
                    target.put_block(first + from, columns, values);
                    *rows = from + count;
                }
                Some(keep) => {
                    while *rows < keep.len() && keep[*rows] < from + count {
                        for (values, column) in values.iter().zip(columns) {
                            target.put(first + *rows, *column, values[keep[*rows] - from]);
                        }
                        *rows += 1;
                    }
                }
            }
            done.fetch_add((*rows - wrote) * columns.len(), Ordering::Relaxed);
        };
        let go = || !cancel.load(Ordering::Relaxed);
        let Some((direct, room)) = &mut self.direct else {
            let mut take = |from: usize, engine: &Engine| {
                let values: Vec<&[f64]> = (0..columns.len()).map(|k| engine.values(k)).collect();
                take(from, &values);
            };
            return self.engine.advance(&mut self.place, &feeds, &own, bar, &go, &mut take);
        };
        let extra = self.engine.further_columns(0, feeds[0])?;
        while direct.bars() < bar {
            let from = direct.bars();
            let count = BLOCK.min(bar - from);
            let mut out: Vec<&mut [f64]> =
                room.chunks_mut(BLOCK).map(|c| &mut c[..count]).collect();
            if !direct.run(feeds[0], &extra, &own, from, &mut out, &go) {
                return Ok(false);
            }
            let values: Vec<&[f64]> = out.iter().map(|column| &**column).collect();
            take(from, &values);
        }
        Ok(true)
    }
}

/// Components dealt to so many parts, the largest first, each to the one with least to do; those that need more than the
/// candles' own bars to parts of their own, so that they do not slow down the others.
fn shares(graph: &Graph, parts: usize) -> Vec<Vec<usize>> {
    let all = graph.features.len();
    let (simple, other): (Vec<_>, Vec<_>) = graph
        .components()
        .into_iter()
        .partition(|component| component.iter().all(|k| graph.features[*k].on_one_clock()));
    let size = |components: &[Vec<usize>]| components.iter().map(Vec::len).sum::<usize>();
    let theirs = (parts * size(&other)).div_ceil(all.max(1));
    let ours = parts.saturating_sub(theirs).max(1);
    let mut shares = dealt(simple, ours);
    shares.extend(dealt(other, theirs));
    shares
}

fn dealt(mut components: Vec<Vec<usize>>, parts: usize) -> Vec<Vec<usize>> {
    components.sort_by_key(|c| std::cmp::Reverse(c.len()));
    let mut shares: Vec<Vec<usize>> = vec![vec![]; parts.min(components.len())];
    for component in components {
        if let Some(least) = shares.iter_mut().min_by_key(|s| s.len()) {
            least.extend(component);
        }
    }
    for share in &mut shares {
        share.sort_unstable();
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::super::grammar::parse;
    use super::*;
    use crate::bars::Columns;

    fn bars(seed: u64, n: usize, skip: usize) -> Arc<Bars> {
        let mut state = seed;
        let mut price = 100.0;
        let mut columns: [Vec<f64>; 5] = Default::default();
        let mut open_time = vec![];
        for i in 0..n {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let step = (state >> 40) as f64 / f64::from(1 << 24) - 0.5;
            let open = price;
            price *= 1.0 + 0.01 * step;
            if skip > 0 && i % skip == skip - 1 {
                continue;
            }
            open_time.push(i64::try_from(i).unwrap() * 60_000);
            let values =
                [open, open.max(price) * 1.001, open.min(price) * 0.999, price, 1.0 + step];
            for (column, value) in columns.iter_mut().zip(values) {
                column.push(value);
            }
        }
        let [open, high, low, close, volume] = columns;
        let extra = std::collections::BTreeMap::new();
        Arc::new(
            Bars::new(
                Columns { open_time, open, high, low, close, volume, extra },
                60_000,
                None,
                vec![],
            )
            .unwrap(),
        )
    }

    fn graph(texts: &[&str]) -> Graph {
        let features = texts.iter().flat_map(|t| parse(t, &[]).unwrap()).collect();
        Graph::new(features, &[]).unwrap()
    }

    fn book(symbols: &[(&str, &Arc<Bars>)], keep: Option<Vec<usize>>) -> Book {
        let symbols = symbols.iter().map(|(name, bars)| ((*name).into(), (*bars).clone()));
        Book { symbols: symbols.collect(), own: vec![], keep }
    }

    /// All rows, filled in pieces.
    fn whole(mut table: Table, height: usize, layout: Layout) -> Vec<f64> {
        let (rows, width) = (table.rows(), table.width());
        let (cancel, done) = (AtomicBool::new(false), AtomicUsize::new(0));
        let mut out = vec![0.0; rows * width];
        while table.filled() < rows {
            let from = table.filled();
            let mut piece = vec![-1.0; height * width];
            let made = table.fill(Cells::f64(&mut piece), layout, &cancel, &done).unwrap().unwrap();
            for row in 0..made {
                for column in 0..width {
                    let at = match layout {
                        Layout::Rows => row * width + column,
                        Layout::Columns => column * height + row,
                    };
                    out[(from + row) * width + column] = piece[at];
                }
            }
        }
        assert_eq!(done.load(Ordering::Relaxed), rows * width);
        out
    }

    #[test]
    fn pieces_layouts_and_threads_give_the_bits_of_one_block_after_the_other() {
        let texts = ["sma(5)", "rsi(3)", "max(9)@5m", "close@B", "sma(4)@B/5m", "stoch()"];
        let graph = graph(&texts);
        for skip in [0, 7] {
            let (a, b) = (bars(1, 2_500, 0), bars(2, 2_500, skip));
            let mut engine = Engine::new(Arc::new(graph.clone()), "A", 60_000).unwrap();
            let mut expected = vec![vec![0.0; 2_500]; graph.features.len()];
            let out = expected.iter_mut().map(|column| &mut column[..]).collect();
            engine.compute(&[&*a, &*b], &[], out, &|| true).unwrap();
            for (height, layout, threads) in
                [(2_500, Layout::Rows, 1), (999, Layout::Rows, 3), (1_024, Layout::Columns, 2)]
            {
                let books = vec![book(&[("A", &a), ("B", &b)], None)];
                let found = whole(Table::new(&graph, books, threads).unwrap(), height, layout);
                for (k, column) in expected.iter().enumerate() {
                    for (row, value) in column.iter().enumerate() {
                        let cell = found[row * graph.features.len() + k];
                        assert_eq!(cell.to_bits(), value.to_bits(), "row {row} of {k}");
                    }
                }
            }
        }
    }

    #[test]
    fn books_stand_below_each_other_and_kept_rows_are_those_of_the_whole() {
        let graph = graph(&["sma(5)", "obv()"]);
        let (a, b) = (bars(1, 1_500, 0), bars(2, 700, 0));
        let all =
            |keep: Option<Vec<usize>>| vec![book(&[("A", &a)], keep), book(&[("B", &b)], None)];
        let every = whole(Table::new(&graph, all(None), 2).unwrap(), 5_000, Layout::Rows);
        let keep: Vec<usize> = (0..1_500).filter(|i| i % 3 == 1).collect();
        let table = Table::new(&graph, all(Some(keep.clone())), 2).unwrap();
        let some = whole(table, 333, Layout::Rows);
        assert_eq!(some.len(), 2 * (500 + 700));
        for (row, i) in keep.iter().enumerate() {
            for k in 0..2 {
                assert_eq!(some[2 * row + k].to_bits(), every[2 * i + k].to_bits());
            }
        }
        let tail = |all: &[f64], from: usize| -> Vec<u64> {
            all[2 * from..].iter().map(|v| v.to_bits()).collect()
        };
        assert_eq!(tail(&some, 500), tail(&every, 1_500));
    }

    #[test]
    fn a_stop_leaves_the_rest_unwritten() {
        let graph = graph(&["sma(5)"]);
        let a = bars(1, 3_000, 0);
        let mut table = Table::new(&graph, vec![book(&[("A", &a)], None)], 1).unwrap();
        let mut out = vec![0.5_f32; 3_000];
        let (cancel, done) = (AtomicBool::new(true), AtomicUsize::new(0));
        let made = table.fill(Cells::f32(&mut out), Layout::Rows, &cancel, &done).unwrap();
        assert_eq!(made, None);
        assert!(out.iter().all(|v| *v == 0.5));
    }
}
