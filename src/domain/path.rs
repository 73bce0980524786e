//! How a step is named within its run: by its id, and an item of a `for_each` by id and number, `each.2`. An id has no dot.

/// The path of an item; items count from 1.
pub fn of_item(step: &str, visit: u32) -> String {
    format!("{step}.{visit}")
}

/// The step's id, and which of its items the path means.
pub fn split(path: &str) -> (&str, Option<u32>) {
    match path.split_once('.') {
        Some((id, visit)) => (id, visit.parse().ok().filter(|visit| *visit > 0)),
        None => (path, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_step_or_one_of_its_items() {
        assert_eq!((split("reset"), split(&of_item("reset", 2))), (("reset", None), ("reset", Some(2))));
        assert_eq!((split("reset.0"), split("reset.x")), (("reset", None), ("reset", None)));
    }
}
