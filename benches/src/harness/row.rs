//! The values of one case.

use serde::{Deserialize, Serialize, Serializer};

use super::numbers::{Spread, rounded};

/// All values of one metric of one case.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) case: String,
    /// How many bindings were present, where that varies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) present: Option<u64>,
    /// What was measured, with its unit.
    pub(crate) metric: String,
    #[serde(serialize_with = "rounded_values")]
    pub(crate) values: Vec<f64>,
}

impl Row {
    /// Whether these are values of that case.
    pub(crate) fn is_of(&self, case: &str, present: Option<u64>) -> bool {
        self.case == case && self.present == present
    }

    /// The value in the middle.
    pub(crate) fn median(&self) -> f64 {
        self.spread().median
    }

    /// Median and quartiles.
    pub(crate) fn spread(&self) -> Spread {
        Spread::of(&self.values)
    }
}

fn rounded_values<S: Serializer>(values: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().copied().map(rounded))
}
