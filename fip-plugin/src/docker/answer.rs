//! Docker's way of saying yes and no.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use super::DockerError;
use crate::ask::{Answer, shown};

/// The value in an answer that says yes.
pub(super) fn value<T: DeserializeOwned>(answer: &Answer) -> Result<T, DockerError> {
    success(answer, &[200, 201])?;
    Ok(serde_json::from_slice(&answer.body).map_err(|error| answer.nonsense(error))?)
}

/// Whether the answer says yes, with whatever text.
pub(super) fn agreed(answer: &Answer) -> Result<(), DockerError> {
    success(answer, &[200, 204])
}

/// Whether the status is one of these.
fn success(answer: &Answer, statuses: &[u16]) -> Result<(), DockerError> {
    if statuses.contains(&answer.status) {
        return Ok(());
    }
    let Some(message) = refusal(answer) else {
        let text = shown(&String::from_utf8_lossy(&answer.body));
        return Err(answer.nonsense(format!("HTTP status {} {text:?}", answer.status)).into());
    };
    Err(DockerError::Refused {
        host: answer.host().to_owned(),
        question: answer.question().to_owned(),
        status: answer.status,
        message: shown(&message),
    })
}

/// Whether Docker says that it does not have this. Anything can answer 404; Docker names what it did
/// not find.
pub(super) fn is_unknown(answer: &Answer, id: &str) -> bool {
    answer.status == 404 && refusal(answer).is_some_and(|text| text.contains(id))
}

/// Docker's reason for an answer that is not yes; `None` if there is none, so if it is not Docker
/// that answers.
pub(super) fn refusal(answer: &Answer) -> Option<String> {
    #[derive(Deserialize)]
    struct Refusal {
        message: String,
    }
    serde_json::from_slice::<Refusal>(&answer.body).ok().map(|refusal| refusal.message)
}

/// Go writes an empty map or list that was never made as `null`.
pub(super) fn or_null<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
