//! The one place where core errors become Python exceptions.

use barproof_core::Error;
use pyo3::prelude::*;
use pyo3::types::PyType;

/// Looks the class up in `barproof.errors`, so that exceptions pickle and carry their public name.
fn raise(py: Python<'_>, class: &str, message: String) -> PyErr {
    let found = py
        .import("barproof.errors")
        .and_then(|module| module.getattr(class))
        .and_then(|class| Ok(class.cast_into::<PyType>()?));
    match found {
        Ok(class) => PyErr::from_type(class, message),
        Err(error) => error,
    }
}

/// Turns a core error into its Python class.
pub fn to_python(py: Python<'_>, error: &Error) -> PyErr {
    let class = match error {
        Error::Parameter { .. } | Error::Unknown { .. } => "ParameterError",
        Error::Rules(_) => "RulesError",
        Error::Length { .. } => "ShapeError",
        Error::Bar { .. } => "CandleError",
        Error::Signal { .. } => "SignalError",
        Error::FundingMissing => "FundingError",
        Error::Window(_) => "WindowError",
        Error::Feature(_) => "FeatureError",
        _ => "InternalError",
    };
    raise(py, class, error.to_string())
}

/// A value of the wrong type.
pub fn layout(py: Python<'_>, message: String) -> PyErr {
    raise(py, "LayoutError", message)
}
