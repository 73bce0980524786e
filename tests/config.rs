//! What is shipped as settings and playbooks is good by the program's own check, with the actions that it really has.

use std::path::{Path, PathBuf};

use reynard::action::catalog;
use reynard::config::check::{Request, Verdict, check};
use reynard::config::secrets::NoSecrets;

#[test]
fn shipped_and_example_files_pass_the_check() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (settings, playbooks, files) in [("no.yaml", "playbooks", 7), ("examples/reynard.yaml", "examples/playbooks", 8)] {
        let (settings, playbooks): (PathBuf, PathBuf) = (root.join(settings), root.join(playbooks));
        let request = Request { settings: &settings, playbooks: &playbooks, paths: &[] };
        let checked = check(request, &[], &catalog::specs(), &NoSecrets);
        assert_eq!((checked.verdict, checked.files.len()), (Verdict::Good, files), "{}", checked.diagnostics.to_text(false));
    }
}
