//! Arrays in and out.

use numpy::{Element, PyArray1, PyReadonlyArray1, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyAnyMethods;

use crate::error;

/// Copies a one-dimensional array; contiguous or not, of exactly the dtype `T`.
pub fn copied<T: Element + Copy>(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Vec<T>> {
    let py = value.py();
    let array: PyReadonlyArray1<'_, T> = value.extract().map_err(|_| {
        error::layout(
            py,
            format!(
                "`{name}` must be a one-dimensional array of {}, was {}",
                T::get_dtype(py),
                describe(value)
            ),
        )
    })?;
    Ok(array.as_array().iter().copied().collect())
}

fn describe(value: &Bound<'_, PyAny>) -> String {
    match value.cast::<numpy::PyUntypedArray>() {
        Ok(array) => format!("{} of {} dimensions", array.dtype(), array.ndim()),
        Err(_) => value.get_type().to_string(),
    }
}

/// A read-only numpy view of memory that `owner` keeps alive and never changes.
pub fn view<'py, T: Element>(
    values: &[T],
    owner: Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyArray1<T>>> {
    let shaped = numpy::ndarray::ArrayView1::from(values);
    // SAFETY: `values` lies in a buffer that `owner` holds immutably for as long as it lives, and the array keeps a
    // reference to `owner`; the array is made read-only before anybody else sees it.
    let array = unsafe { PyArray1::borrow_from_array(&shaped, owner) };
    array.getattr("flags")?.setattr("writeable", false)?;
    Ok(array)
}
