use super::*;

fn kind(text: &str) -> Kind {
    read(text.as_bytes()).unwrap().kind
}

fn fails(text: &str) -> String {
    let e = read(text.as_bytes()).unwrap_err();
    format!("{}: {}", e.line, e.message)
}

#[test]
fn scalars_resolve_as_in_go() {
    assert_eq!(kind("0600"), Kind::Int(0o600));
    assert_eq!(kind("0o600"), Kind::Int(0o600));
    assert_eq!(kind("0x1f"), Kind::Int(31));
    assert_eq!(kind("1_000"), Kind::Int(1000));
    assert_eq!(kind("-5"), Kind::Int(-5));
    assert_eq!(kind("1.5"), Kind::Float(1.5));
    assert_eq!(kind("\"0600\""), Kind::Text("0600".into()));
    assert_eq!(kind("yes"), Kind::Text("yes".into()));
    assert_eq!(kind("True"), Kind::Bool(true));
    assert_eq!(kind("10s"), Kind::Text("10s".into()));
    assert_eq!(kind("!!str 5"), Kind::Text("5".into()));
    assert_eq!(kind("1.2.3"), Kind::Text("1.2.3".into()));
    assert_eq!(kind("sha256:00"), Kind::Text("sha256:00".into()));
    assert_eq!(kind("~"), Kind::Null);
    assert_eq!(kind(""), Kind::Null);
    assert_eq!(kind("09"), Kind::Float(9.0));
}

#[test]
fn lines_are_kept() {
    let node = read(b"# c\na:\n  - x\n  - y: 1\n").unwrap();
    let Kind::Map(pairs) = node.kind else {
        panic!("a map");
    };
    let (key, Node { kind, .. }) = &pairs[0];
    let Kind::List(items) = kind else {
        panic!("a list");
    };
    assert_eq!((key.line, items[0].line, items[1].line), (2, 3, 4));
}

#[test]
fn merge_keys_give_way_to_their_map() {
    let node = kind("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {<<: [*a, {z: 4}]}\n");
    let Kind::Map(pairs) = node else {
        panic!("a map");
    };
    let map = |n: usize| match &pairs[n].1.kind {
        Kind::Map(pairs) => pairs
            .iter()
            .map(|(k, n)| (k.text.clone(), n.kind.clone()))
            .collect::<std::collections::BTreeMap<_, _>>(),
        other => panic!("a map: {other:?}"),
    };
    assert_eq!(map(1)["y"], Kind::Int(3));
    assert_eq!(map(1)["x"], Kind::Int(1));
    assert_eq!(map(2)["z"], Kind::Int(4));
}

#[test]
fn pathological_input_is_refused() {
    let mut bomb = String::from("a: &a [x,x,x,x,x,x,x,x,x]\n");
    for (next, last) in ('b'..='m').zip('a'..) {
        bomb += &format!(
            "{next}: &{next} [{}]\n",
            vec![format!("*{last}"); 9].join(",")
        );
    }
    assert!(fails(&bomb).contains("more than 200000 values"));
    let deep = "[".repeat(100) + &"]".repeat(100);
    assert!(fails(&deep).contains("nested deeper than 64"));
    assert!(fails(&"[".repeat(100_000)).contains("not YAML"));
    let block: String = (0..500).map(|n| " ".repeat(n) + "a:\n").collect();
    assert!(fails(&block).contains("nested deeper than 64"));
    assert!(fails("a: &a [*a]").contains("an alias within what it names"));
    assert!(fails("a: *nosuch").starts_with("1: not YAML"));
    assert!(fails("a: 1\na: 2").contains("2: key \"a\" a second time; first on line 1"));
    assert!(fails("a: 1\n---\nb: 1").contains("a second document"));
    assert!(fails("a: !x 1").contains("the tag !x is not known"));
    assert!(fails("a: !!int x").contains("does not fit the tag !!int"));
    assert!(fails("1: x").contains("a key must be text"));
    assert_eq!(read(b"a: 1\nb: \xff\n").unwrap_err().line, 2);
    let text = format!(
        "a: &a \"{}\"\nb: [{}]",
        "x".repeat(1 << 20),
        "*a,".repeat(100)
    );
    assert!(fails(&text).contains("aliases repeat too much text"));
}
