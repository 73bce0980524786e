//! Puts a playbook's text into the folder: the whole of it or nothing, inside the folder, and never through a link.
//! Knows nothing of what the text says.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::config::files::TextFile;
use crate::config::names::{NAME_HELP, is_name};

/// Why a text was not put into the folder.
#[derive(Debug, thiserror::Error)]
pub enum NotPut {
    #[error("\"{0}\" cannot be a playbook's name; {help}", help = NAME_HELP)]
    BadName(String),
    #[error("{0} is a symbolic link: what it leads to is kept elsewhere, so change it there")]
    Link(String),
    /// Somebody else changed the file; its text now, none when it is gone.
    #[error("the file was changed meanwhile")]
    Changed(Option<String>),
    #[error("{0} cannot be written: {1}")]
    Io(String, io::Error),
}

/// Where the playbook's file is, or would be. A name that leads anywhere else than into the folder is none.
pub fn place(folder: &Path, slug: &str) -> Result<PathBuf, NotPut> {
    if !is_name(slug) {
        return Err(NotPut::BadName(slug.to_owned()));
    }
    let named = |ending: &str| folder.join(format!("{slug}.{ending}"));
    let other = named("yml");
    Ok(if other.symlink_metadata().is_ok() && named("yaml").symlink_metadata().is_err() { other } else { named("yaml") })
}

/// The file's text; none when there is no file.
pub fn text(path: &Path) -> Result<Option<String>, NotPut> {
    let io = |error| NotPut::Io(path.display().to_string(), error);
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
        Ok(_) => {}
    }
    TextFile::read(path).text.map(Some).map_err(|why| io(io::Error::other(why)))
}

/// Puts the text into the place of `before`, durably. Whoever reads the file meanwhile reads one or the other.
pub fn put(path: &Path, text: &str, before: Option<&str>) -> Result<(), NotPut> {
    let shown = || path.display().to_string();
    let there = path.symlink_metadata().ok();
    if there.as_ref().is_some_and(fs::Metadata::is_symlink) {
        return Err(NotPut::Link(shown()));
    }
    let partial = Partial::beside(path);
    partial.write(text, there.map(|meta| meta.permissions())).map_err(|error| NotPut::Io(shown(), error))?;
    // As late as can be: an editor may have written in the last moment.
    let now = self::text(path)?;
    if now.as_deref() != before {
        return Err(NotPut::Changed(now));
    }
    partial.into_place(path).map_err(|error| NotPut::Io(shown(), error))
}

/// Makes the folder with these files in it, all at once; a folder that is there stays as it is.
pub fn stock(folder: &Path, files: &[TextFile]) -> io::Result<()> {
    if folder.exists() {
        return Ok(());
    }
    let partial = hidden(folder);
    let _ = fs::remove_dir_all(&partial);
    fs::create_dir_all(&partial)?;
    for file in files {
        if let (Some(name), Ok(text)) = (Path::new(&file.path).file_name(), &file.text) {
            let mut file = File::create_new(partial.join(name))?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
        }
    }
    sync(&partial)?;
    fs::rename(&partial, folder)?;
    folder.parent().map_or(Ok(()), sync)
}

/// A file that is gone again unless it comes into its place.
struct Partial(PathBuf);

impl Partial {
    fn beside(path: &Path) -> Self {
        Self(hidden(path))
    }

    fn write(&self, text: &str, permissions: Option<fs::Permissions>) -> io::Result<()> {
        // What an interrupted save has left.
        let _ = fs::remove_file(&self.0);
        let mut file = OpenOptions::new().write(true).create_new(true).open(&self.0)?;
        permissions.map_or(Ok(()), |permissions| file.set_permissions(permissions))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    }

    fn into_place(self, path: &Path) -> io::Result<()> {
        fs::rename(&self.0, path)?;
        path.parent().map_or(Ok(()), sync)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A name beside it that nothing reads.
fn hidden(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.partial"))
}

fn sync(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_name_never_leads_out_of_the_folder() {
        for foul in ["../x", "..", "a/b", "/etc/passwd", "a\\b", "x.yaml", "", "X", "a\0b", "tests/x", "-a", "_a", "ä"] {
            assert!(matches!(place(Path::new("playbooks"), foul), Err(NotPut::BadName(_))), "{foul}");
        }
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(place(folder.path(), "x").expect("a name"), folder.path().join("x.yaml"));
        fs::write(folder.path().join("x.yml"), "").expect("it is written");
        assert_eq!(place(folder.path(), "x").expect("a name"), folder.path().join("x.yml"));
    }

    #[test]
    fn the_whole_text_comes_into_the_place_of_the_one_that_was_read_or_none_of_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.yaml");
        put(&path, "one", None).expect("a new file");
        assert!(matches!(put(&path, "two", None), Err(NotPut::Changed(Some(now))) if now == "one"));
        put(&path, "two", Some("one")).expect("in its place");
        assert!(matches!(put(&path, "three", Some("one")), Err(NotPut::Changed(Some(now))) if now == "two"));
        fs::remove_file(&path).expect("it goes");
        assert!(matches!(put(&path, "three", Some("two")), Err(NotPut::Changed(None))));
        fs::write(folder.path().join(".x.yaml.partial"), "left by a crash").expect("it is written");
        put(&path, "three", None).expect("what a crash left is in nobody's way");
        assert_eq!((names(folder.path()), fs::read_to_string(&path).expect("readable").as_str()), (vec!["x.yaml".to_owned()], "three"));
    }

    #[cfg(unix)]
    #[test]
    fn nothing_is_written_through_a_link_and_the_files_rights_stay() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().expect("a folder");
        let (outside, link) = (folder.path().join("outside"), folder.path().join("x.yaml"));
        fs::write(&outside, "kept").expect("it is written");
        symlink(&outside, &link).expect("a link");
        assert!(matches!(put(&link, "two", Some("kept")), Err(NotPut::Link(_))));
        symlink(&outside, folder.path().join(".y.yaml.partial")).expect("a link");
        let path = folder.path().join("y.yaml");
        put(&path, "mine", None).expect("a link where the partial file goes is removed, not followed");
        assert_eq!(fs::read_to_string(&outside).expect("readable"), "kept");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("its rights are set");
        put(&path, "two", Some("mine")).expect("in its place");
        assert_eq!(path.metadata().expect("there").permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn a_folder_comes_with_all_that_the_program_carries() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = home.path().join("playbooks");
        let carried = [TextFile::new("playbooks/a.yaml", "a"), TextFile::new("playbooks/b.yaml", "b")];
        stock(&folder, &carried).expect("it is made");
        fs::write(folder.join("a.yaml"), "mine").expect("it is written");
        stock(&folder, &carried).expect("it is there");
        assert_eq!((names(&folder), names(home.path())), (vec!["a.yaml".to_owned(), "b.yaml".to_owned()], vec!["playbooks".to_owned()]));
        assert_eq!(fs::read_to_string(folder.join("a.yaml")).expect("readable"), "mine");
    }
}
