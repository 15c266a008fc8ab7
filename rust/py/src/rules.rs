//! Rules and the tables of rules and metrics, between Python values and the core.

use barproof_core::backtest::metrics::Metrics;
use barproof_core::backtest::rules::Rules;
use barproof_core::backtest::table::Value;
use barproof_core::digest::Digest;
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyString};

use crate::error::{layout, to_python};

/// Reads a Python scalar; numpy scalars count as what they convert to.
pub fn value(name: &str, object: &Bound<'_, PyAny>) -> PyResult<Value> {
    if object.is_none() {
        return Ok(Value::None);
    }
    if object.is_instance_of::<PyBool>() {
        return Ok(Value::Bool(object.extract()?));
    }
    if let Ok(text) = object.cast::<PyString>() {
        return Ok(Value::Text(text.to_string()));
    }
    if object.is_instance_of::<PyInt>() {
        // Whole numbers beyond 64 bits are still numbers to a field that holds floats.
        return match object.extract() {
            Ok(whole) => Ok(Value::Int(whole)),
            Err(_) => Ok(Value::Float(object.extract().unwrap_or(f64::INFINITY))),
        };
    }
    if object.is_instance_of::<PyFloat>() {
        return Ok(Value::Float(object.extract()?));
    }
    // numpy scalars and the like
    if let Ok(item) = object.call_method0("item")
        && !item.is(object)
    {
        return value(name, &item);
    }
    Err(layout(
        object.py(),
        format!(
            "`{name}` must be a number, a text, True, False or None, was {}",
            object.get_type()
        ),
    ))
}

/// Reads a mapping of fields.
pub fn rules(fields: &Bound<'_, PyDict>) -> PyResult<Rules> {
    let py = fields.py();
    let mut rules = Rules::default();
    for (name, object) in fields {
        let name: String = name.extract()?;
        rules.set(&name, &value(&name, &object)?).map_err(|e| to_python(py, &e))?;
    }
    Ok(rules)
}

fn python(py: Python<'_>, value: Value) -> PyResult<Bound<'_, PyAny>> {
    match value {
        Value::None => Ok(py.None().into_bound(py)),
        Value::Bool(v) => v.into_bound_py_any(py),
        Value::Int(v) => v.into_bound_py_any(py),
        Value::Float(v) => v.into_bound_py_any(py),
        Value::Text(v) => v.into_bound_py_any(py),
    }
}

/// Checks bounds and contradictions; returns every field in its canonical type.
#[pyfunction]
pub fn check_rules<'py>(fields: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyDict>> {
    let py = fields.py();
    let rules = rules(fields)?;
    rules.check().map_err(|e| to_python(py, &e))?;
    let out = PyDict::new(py);
    for (name, value) in rules.values() {
        out.set_item(name, python(py, value)?)?;
    }
    Ok(out)
}

/// Checks one value of one field against its bound.
#[pyfunction]
pub fn check_field(name: &str, object: &Bound<'_, PyAny>) -> PyResult<()> {
    let value = value(name, object)?;
    Rules::default().set(name, &value).map_err(|e| to_python(object.py(), &e))
}

/// The table of rules, one mapping a field.
#[pyfunction]
pub fn rules_table(py: Python<'_>) -> PyResult<Vec<Bound<'_, PyDict>>> {
    Rules::fields()
        .into_iter()
        .map(|field| {
            let row = PyDict::new(py);
            row.set_item("name", field.name)?;
            row.set_item("type", field.python_type)?;
            row.set_item("bound", field.bound)?;
            row.set_item("choices", field.choices)?;
            row.set_item("default", python(py, field.default)?)?;
            row.set_item("doc", field.doc)?;
            Ok(row)
        })
        .collect()
}

/// The table of metrics, one mapping a metric.
#[pyfunction]
pub fn metrics_table(py: Python<'_>) -> PyResult<Vec<Bound<'_, PyDict>>> {
    Metrics::TABLE
        .iter()
        .map(|metric| {
            let row = PyDict::new(py);
            row.set_item("name", metric.name)?;
            row.set_item("unit", metric.unit.name())?;
            row.set_item("label", metric.label)?;
            row.set_item("better", metric.better)?;
            row.set_item("doc", metric.doc)?;
            Ok(row)
        })
        .collect()
}

/// Canonical digest of a list of texts of one kind.
#[pyfunction]
pub fn digest(kind: &str, items: Vec<String>) -> String {
    let mut digest = Digest::new(kind);
    for item in &items {
        digest.text(item);
    }
    digest.hex()
}
