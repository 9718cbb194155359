//! No files of a crate import each other in a circle. An import is a path to an item of another file, outside of tests: in a `use`
//! or written out. A name that a module only hands on (`pub use`) belongs to the file that it comes from.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::Visit;
use syn::{Attribute, Item, ItemMod, ItemUse, UseTree, Visibility};
use testdata::root;

/// A path's segments.
type Segments = Vec<String>;

/// What a file says of others.
#[derive(Default)]
struct Mentions {
    /// Every path of at least two segments.
    paths: Vec<Segments>,
    /// Names that it hands on, with the paths they come from.
    handed: BTreeMap<String, Segments>,
}

fn for_tests(attributes: &[Attribute]) -> bool {
    let is_test = |attribute: &Attribute| {
        attribute.path().is_ident("test")
            || attribute.path().is_ident("cfg")
                && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    };
    attributes.iter().any(is_test)
}

/// The leaves of a `use` tree: the name in scope and the path it stands for.
fn leaves(tree: &UseTree, before: &[String], found: &mut Vec<(String, Segments)>) {
    let with = |name: String| [before, &[name]].concat();
    match tree {
        UseTree::Path(path) => leaves(&path.tree, &with(path.ident.to_string()), found),
        UseTree::Name(name) if name.ident == "self" => {
            found.push((before.last().cloned().unwrap_or_default(), before.to_vec()));
        }
        UseTree::Name(name) => found.push((name.ident.to_string(), with(name.ident.to_string()))),
        UseTree::Rename(name) => found.push((name.rename.to_string(), with(name.ident.to_string()))),
        UseTree::Glob(_) => found.push(("*".into(), before.to_vec())),
        UseTree::Group(group) => group.items.iter().for_each(|tree| leaves(tree, before, found)),
    }
}

impl<'ast> Visit<'ast> for Mentions {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Mod(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            _ => return syn::visit::visit_item(self, item),
        };
        if !for_tests(attributes) {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        // Modules within a file are part of it; none of the crates has paths that depend on them.
        syn::visit::visit_item_mod(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let mut found = Vec::new();
        leaves(&item.tree, &[], &mut found);
        for (name, path) in found {
            if matches!(item.vis, Visibility::Inherited) {
                self.paths.push(path);
            } else {
                self.handed.insert(name, path);
            }
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.paths.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        syn::visit::visit_path(self, path);
    }
}

/// The files of one crate.
struct Crate {
    /// By the module that a file is, from the crate's root.
    files: BTreeMap<Segments, (PathBuf, Mentions)>,
}

impl Crate {
    fn read(source: &Path) -> Self {
        let mut paths = Vec::new();
        collect(source, &mut paths);
        let mut files = BTreeMap::new();
        for path in paths {
            let relative = path.strip_prefix(source).unwrap().with_extension("");
            let mut module: Segments = relative.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            if module.iter().any(|part| part == "tests" || part == "bin") {
                continue;
            }
            module.pop_if(|last| ["mod", "lib", "main"].contains(&last.as_str()));
            let syntax = syn::parse_file(&fs::read_to_string(&path).unwrap()).unwrap();
            let mut mentions = Mentions::default();
            mentions.visit_file(&syntax);
            files.insert(module, (path, mentions));
        }
        Self { files }
    }

    /// A path from the crate's root; nothing for one that leads out of the crate.
    fn absolute(&self, module: &[String], path: &[String]) -> Option<Segments> {
        let mut base: Segments = match path.first()?.as_str() {
            "crate" => Vec::new(),
            "self" => module.to_vec(),
            "super" => module.split_last()?.1.to_vec(),
            child => {
                let child = [module, &[child.to_string()]].concat();
                return self.files.contains_key(&child).then(|| [module, path].concat());
            }
        };
        let mut rest = &path[1..];
        while rest.first().is_some_and(|segment| segment == "super") {
            base.pop();
            rest = &rest[1..];
        }
        base.extend_from_slice(rest);
        Some(base)
    }

    /// The module whose file has the item at an absolute path.
    fn owner(&self, path: &[String]) -> Option<Segments> {
        let mut path = path.to_vec();
        for _ in 0..10 {
            let known = (0..=path.len()).rev().find(|&length| self.files.contains_key(&path[..length]))?;
            let (module, rest) = path.split_at(known);
            let (_, mentions) = &self.files[module];
            let handed = rest.first().and_then(|name| mentions.handed.get(name));
            match handed.and_then(|from| self.absolute(module, from)) {
                Some(from) => path = [&from[..], &rest[1..]].concat(),
                // The root's name alone, as of a macro or a whole module, is no item of it.
                None => return (!rest.is_empty() || !module.is_empty()).then(|| module.to_vec()),
            }
        }
        None
    }

    /// Whose items each file uses.
    fn imports(&self) -> BTreeMap<Segments, BTreeSet<Segments>> {
        let of = |(module, (_, mentions)): (&Segments, &(PathBuf, Mentions))| {
            let used = mentions.paths.iter().filter(|path| path.len() > 1);
            let owners = used.filter_map(|path| self.owner(&self.absolute(module, path)?));
            (module.clone(), owners.filter(|owner| owner != module).collect())
        };
        self.files.iter().map(of).collect()
    }
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
}

/// A way from a file back to itself, if there is one.
fn circle(from: &Segments, imports: &BTreeMap<Segments, BTreeSet<Segments>>) -> Option<Vec<Segments>> {
    let mut ways = vec![vec![from.clone()]];
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop() {
        for next in way.last().and_then(|last| imports.get(last)).into_iter().flatten() {
            let on = [&way[..], std::slice::from_ref(next)].concat();
            if next == from {
                return Some(on);
            }
            if seen.insert(next.clone()) {
                ways.push(on);
            }
        }
    }
    None
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let (mut arrows, mut circles) = (0, Vec::new());
    for wing in fs::read_dir(root().join("crates")).unwrap() {
        for package in fs::read_dir(wing.unwrap().path()).unwrap() {
            let source = package.unwrap().path().join("src");
            let imports = Crate::read(&source).imports();
            arrows += imports.values().map(BTreeSet::len).sum::<usize>();
            if let Some(way) = imports.keys().find_map(|file| circle(file, &imports)) {
                let names =
                    way.iter().map(|module| if module.is_empty() { "the root".into() } else { module.join("::") });
                circles.push(format!("{}: {}", source.display(), names.collect::<Vec<String>>().join(" -> ")));
            }
        }
    }
    assert!(circles.is_empty(), "{}", circles.join("\n"));
    assert!(arrows > 200, "only {arrows} arrows between files were found");
}

#[test]
fn circles_are_found_where_they_are_and_only_there() {
    let place = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        fs::create_dir_all(place.path().join("low")).unwrap();
        fs::write(place.path().join(name), text).unwrap();
    };
    let found = || {
        let imports = Crate::read(place.path()).imports();
        imports.keys().find_map(|file| circle(file, &imports))
    };
    write("lib.rs", "mod high; mod low; pub use low::{Thing, deep::Deep}; pub fn go() { high::go(Thing) }");
    write("high.rs", "use crate::{Deep, Thing}; pub fn go(_: Thing) { crate::low::deep::go(Deep) }");
    write("low/mod.rs", "pub mod deep; pub struct Thing;");
    write("low/deep.rs", "pub struct Deep; pub fn go(_: Deep) {} #[cfg(test)] mod tests { use crate::high::go; }");
    assert_eq!(found(), None);
    write("low/deep.rs", "pub struct Deep; pub fn go(_: Deep) { let _: fn(_) = crate::high::go; }");
    assert!(found().is_some());
    write("low/deep.rs", "use super::Thing; pub struct Deep; pub fn go(_: Deep) {}");
    assert_eq!(found(), None);
    write("low/mod.rs", "pub mod deep; pub struct Thing; fn use_it() { deep::go(deep::Deep) }");
    assert!(found().is_some());
}
