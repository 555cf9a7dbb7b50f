//! Which known name a wrong one may have meant.

/// The candidate whose name is most like a wrong one, if it is more like it than
/// `least`, from 0 to 1. Names that start alike are more alike than others.
pub(crate) fn nearest<'a, T>(
    name: &str,
    least: f64,
    candidates: impl IntoIterator<Item = (&'a str, T)>,
) -> Option<T> {
    candidates
        .into_iter()
        .map(|(known, candidate)| (strsim::jaro_winkler(name, known), candidate))
        .filter(|(likeness, _)| *likeness > least)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}
