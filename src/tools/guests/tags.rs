//! Tags of a guest.

pub(super) const MOST_TAGS: usize = 64;

pub(super) fn split_tags(tags: &str) -> Vec<String> {
    tags.split([';', ',', ' '])
        .filter(|tag| !tag.is_empty())
        .map(str::to_owned)
        .collect()
}
