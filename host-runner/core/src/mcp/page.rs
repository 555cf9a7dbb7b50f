//! Pages of lists.

use rmcp::ErrorData;
use rmcp::model::PaginatedRequestParams;

/// How many entries a page has.
const PAGE: usize = 100;

/// One page of a list.
#[derive(Debug, PartialEq)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    /// Where the next one begins.
    pub(super) next: Option<String>,
}

/// The page that a client asks for. Its cursor is a number of entries: the list may
/// have changed since, so an entry can be missed or come twice, as in any list of what
/// comes and goes.
pub(super) fn page<T>(
    all: Vec<T>,
    request: Option<&PaginatedRequestParams>,
) -> Result<Page<T>, ErrorData> {
    let start = match request.and_then(|request| request.cursor.as_deref()) {
        None => 0,
        Some(cursor) => cursor.parse().map_err(|_| {
            ErrorData::invalid_params(
                "the cursor is not one of this list: send nextCursor unchanged, or leave it out \
                 for the first page",
                None,
            )
        })?,
    };
    let end = usize::saturating_add(start, PAGE);
    let next = (end < all.len()).then(|| end.to_string());
    let items = all.into_iter().skip(start).take(PAGE).collect();
    Ok(Page { items, next })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(cursor: Option<&str>) -> Result<Page<usize>, ErrorData> {
        let request = PaginatedRequestParams::default();
        let request = request.with_cursor(cursor.map(str::to_owned));
        page((0..250).collect(), Some(&request))
    }

    #[test]
    fn pages_follow_each_other_to_the_end() {
        let mut seen = Vec::new();
        let mut cursor = None;
        loop {
            let page = at(cursor.as_deref()).unwrap();
            assert!(page.items.len() <= PAGE);
            seen.extend(page.items);
            match page.next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        assert_eq!(seen, (0..250).collect::<Vec<_>>());
        assert_eq!(at(Some("900")).unwrap().items, [0_usize; 0]);
        for cursor in ["x", "-1", "", "99999999999999999999999"] {
            assert!(at(Some(cursor)).is_err(), "{cursor}");
        }
        assert_eq!(page(vec![1], None).unwrap().next, None);
    }
}
