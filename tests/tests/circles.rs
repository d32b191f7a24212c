//! No circle among the modules of a crate: the sources say which uses which.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use pianola_tests::{circle, root};
use syn::punctuated::Punctuated;
use syn::visit::Visit;
use syn::{Attribute, Expr, Ident, LitStr, Token, UseTree, Visibility};

/// Path of a module from the root of its crate, or of an item.
type Route = Vec<String>;

/// What the sources say of a module.
#[derive(Default)]
struct Module {
    /// Paths of items of the crate that it uses.
    uses: BTreeSet<Route>,
    /// Paths of what it re-exports, by name.
    exports: BTreeMap<String, Route>,
    /// Whether it is a part of the file of the module around it.
    inline: bool,
}

type Modules = BTreeMap<Route, Module>;

/// Which modules each module with a file uses, as `a::b`. Between a module and those inside it no use counts.
/// Tests do not count.
///
/// # Errors
/// If a source file cannot be read or parsed.
fn module_graph(root: &Path) -> anyhow::Result<BTreeMap<String, BTreeSet<String>>> {
    let mut modules = Modules::new();
    read(&mut modules, Route::new(), root)?;
    let mut graph = BTreeMap::<String, BTreeSet<String>>::new();
    for (module, Module { uses, .. }) in &modules {
        let module = with_file(&modules, module);
        let used = uses.iter().map(|route| resolve(&modules, route));
        let others = used.filter(|used| !used.starts_with(module) && !module.starts_with(used));
        let others = others.map(|used| used.join("::"));
        graph.entry(module.join("::")).or_default().extend(others);
    }
    Ok(graph)
}

/// The module where an item is defined: re-exports are followed.
fn resolve(modules: &Modules, route: &[String]) -> Route {
    let module = known(modules, route);
    let rest = &route[module.len()..];
    let target = rest.first().and_then(|name| modules[module].exports.get(name));
    match target {
        Some(target) if known(modules, target) != module => {
            resolve(modules, &[target, &rest[1..]].concat())
        }
        _ => with_file(modules, module).to_vec(),
    }
}

/// The module whose file holds a module.
fn with_file<'a>(modules: &Modules, mut module: &'a [String]) -> &'a [String] {
    while let Some((_, around)) = module.split_last()
        && modules[module].inline
    {
        module = around;
    }
    module
}

/// The part of a path that is a module.
fn known<'a>(modules: &Modules, route: &'a [String]) -> &'a [String] {
    let lengths = (0..=route.len()).take_while(|&length| modules.contains_key(&route[..length]));
    &route[..lengths.last().unwrap_or(0)]
}

/// Reads the file of a module, and those of the modules inside it.
fn read(modules: &mut Modules, module: Route, file: &Path) -> anyhow::Result<()> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let parsed = syn::parse_file(&text).with_context(|| file.display().to_string())?;
    modules.entry(module.clone()).or_default();
    let mut reader = Reader { modules, module, files: Vec::new() };
    reader.visit_file(&parsed);
    let beside = file.parent().context("a file has a folder")?;
    let stem = file.file_stem().unwrap_or_default();
    let is_root = ["lib", "main", "mod"].iter().any(|name| stem == *name);
    let inside = if is_root { beside.to_path_buf() } else { beside.join(stem) };
    for (module, path) in reader.files {
        let name = module.last().cloned().unwrap_or_default();
        let nested = inside.join(&name).join("mod.rs");
        let file = match path {
            Some(path) => beside.join(path),
            None if nested.exists() => nested,
            None => inside.join(name + ".rs"),
        };
        read(modules, module, &file)?;
    }
    Ok(())
}

/// Collects what a file says of its modules.
struct Reader<'m> {
    modules: &'m mut Modules,
    /// The current module.
    module: Route,
    /// Modules in files of their own, with the path that an attribute gives.
    files: Vec<(Route, Option<PathBuf>)>,
}

impl Reader<'_> {
    fn current(&mut self) -> &mut Module {
        self.modules.entry(self.module.clone()).or_default()
    }

    /// A path that starts with `crate`, `self` or `super`, from the root of the crate.
    fn absolute(&self, route: &[String]) -> Option<Route> {
        let mut start = self.module.clone();
        match route.first()?.as_str() {
            "crate" => start.clear(),
            "self" => {}
            "super" => {
                let above = route.iter().take_while(|part| *part == "super").count();
                start.truncate(start.len().checked_sub(above)?);
                start.extend_from_slice(&route[above..]);
                return Some(start);
            }
            _ => return None,
        }
        start.extend_from_slice(&route[1..]);
        Some(start)
    }

    /// Records all paths of a `use`.
    fn take(&mut self, tree: &UseTree, before: &[String], public: bool) {
        let with = |ident: &Ident| [before, &[ident.to_string()]].concat();
        let (route, name) = match tree {
            UseTree::Path(path) => return self.take(&path.tree, &with(&path.ident), public),
            UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.take(tree, before, public));
            }
            UseTree::Name(name) if name.ident == "self" => (before.to_vec(), before.last()),
            UseTree::Name(name) => (with(&name.ident), None),
            UseTree::Rename(rename) => (with(&rename.ident), Some(&rename.rename.to_string())),
            _ => (before.to_vec(), None),
        };
        let name = name.or(route.last()).cloned().unwrap_or_default();
        let absolute = self.absolute(&route);
        let relative = || [&self.module[..], &route].concat();
        let target = absolute.clone().unwrap_or_else(relative);
        let current = self.current();
        current.uses.extend(absolute);
        if public {
            current.exports.insert(name, target);
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if item.attrs.iter().any(is_for_tests) {
            return;
        }
        self.module.push(item.ident.to_string());
        if item.content.is_some() {
            self.current().inline = true;
            syn::visit::visit_item_mod(self, item);
        } else {
            let path = item.attrs.iter().find_map(path_attribute);
            self.files.push((self.module.clone(), path));
        }
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !item.attrs.iter().any(is_for_tests) {
            self.take(&item.tree, &[], !matches!(item.vis, Visibility::Inherited));
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let route: Route = path.segments.iter().map(|part| part.ident.to_string()).collect();
        let absolute = self.absolute(&route);
        self.current().uses.extend(absolute);
        syn::visit::visit_path(self, path);
    }

    /// The arguments of macros such as `format!`.
    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        let arguments = item.parse_body_with(Punctuated::<Expr, Token![,]>::parse_terminated);
        arguments.iter().flatten().for_each(|argument| syn::visit::visit_expr(self, argument));
    }
}

/// Whether an attribute is `#[cfg(test)]`.
fn is_for_tests(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute.parse_args::<Ident>().is_ok_and(|flag| flag == "test")
}

/// The path in `#[path = "..."]`.
fn path_attribute(attribute: &Attribute) -> Option<PathBuf> {
    let value = &attribute.meta.require_name_value().ok()?.value;
    let Expr::Lit(literal) = value else { return None };
    let syn::Lit::Str(path) = &literal.lit else { return None };
    attribute.path().is_ident("path").then(|| LitStr::value(path).into())
}

#[test]
fn no_modules_use_each_other_in_a_circle() -> anyhow::Result<()> {
    let crates = [
        "runtime/src/lib.rs",
        "runtime/host/src/lib.rs",
        "trainer/src/main.rs",
        "tools/src/lib.rs",
        "tools/picture/src/lib.rs",
        "firmware-demo/src/lib.rs",
        "tests/src/lib.rs",
        "xtask/src/main.rs",
    ];
    let (mut modules, mut uses) = (0, 0);
    for main in crates {
        let graph = module_graph(&root().join(main))?;
        modules += graph.len();
        uses += graph.values().map(BTreeSet::len).sum::<usize>();
        assert_eq!(circle(graph), None, "a circle in {main}");
    }
    assert!(modules > 200 && uses > 300, "only {modules} modules and {uses} uses");
    Ok(())
}

/// The circle of a crate of these files.
fn circle_of(files: &[(&str, &str)]) -> anyhow::Result<Option<BTreeSet<String>>> {
    let folder = tempfile::tempdir()?;
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap())?;
        fs::write(path, text)?;
    }
    let graph = module_graph(&folder.path().join("lib.rs"))?;
    Ok(circle(graph).map(|circle| circle.into_keys().collect()))
}

#[test]
fn circles_are_found_however_a_path_is_written() -> anyhow::Result<()> {
    let lib = ("lib.rs", "mod a; mod b;");
    let a = ("a.rs", "use std::fmt; use crate::{b::{self, one}};");
    for uses in [
        "use super::a;",
        "pub(crate) use crate::{a::two as three};",
        "fn f() -> crate::a::Two { todo!() }",
        "fn f() { println!(\"{}\", super::a::two()); }",
        "mod inner { use super::super::a::two; }",
    ] {
        let expected = Some(["a", "b"].map(String::from).into());
        assert_eq!(circle_of(&[lib, a, ("b.rs", uses)])?, expected, "{uses}");
    }
    // Through re-exports, in files of folders, and with a path of its own.
    let tree = [
        ("lib.rs", "mod a; #[path = \"elsewhere.rs\"] mod b;"),
        ("a/mod.rs", "mod deep; pub use deep::Deep; pub use self::deep::Other;"),
        ("a/deep.rs", "use crate::b::X;"),
        ("elsewhere.rs", "use crate::a::Other;"),
    ];
    assert_eq!(circle_of(&tree)?, Some(["a::deep", "b"].map(String::from).into()));
    // Tests, comments and a module's own parts are no uses.
    for uses in
        ["#[cfg(test)] mod tests { use super::super::a; }", "// use crate::a;", "use self::x;"]
    {
        assert_eq!(circle_of(&[lib, a, ("b.rs", uses)])?, None, "{uses}");
    }
    Ok(())
}
