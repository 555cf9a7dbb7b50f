use syn::parse_quote;

use super::*;

fn refusal(input: &DeriveInput) -> String {
    match Struct::read(input) {
        Ok(_) => "accepted".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn attributes_and_types_that_are_not_known_are_refused() {
    for (input, message) in [
        (
            parse_quote! { #[serde(default = "one")] struct A { a: u8 } },
            "a default by path is not known here",
        ),
        (
            parse_quote! { struct A { #[serde(default = "one")] a: u8 } },
            "a default by path is not known here",
        ),
        (
            parse_quote! { struct A { #[serde(flatten)] a: B } },
            "not known here",
        ),
        (
            parse_quote! { #[serde(rename_all = "camelCase")] struct A { a: u8 } },
            "not known here",
        ),
        (
            parse_quote! { struct A { a: u8, #[serde(rename = "a")] b: u8 } },
            "another field has the name `a`, too",
        ),
        (parse_quote! { struct A<T> { a: T } }, "generic types"),
        (parse_quote! { struct A(u8); }, "its fields have no names"),
        (parse_quote! { enum A { B } }, "only structs have fields"),
    ] {
        let refusal = refusal(&input);
        assert!(refusal.starts_with(message), "{refusal}");
    }
}

#[test]
fn a_skipped_field_has_no_name() {
    let input = parse_quote! { struct A { a: u8, #[serde(skip, rename = "a")] b: u8 } };
    assert_eq!(refusal(&input), "accepted");
}

#[test]
fn only_a_field_without_a_default_is_required() {
    let input: DeriveInput = parse_quote! {
        struct A {
            a: B,
            b: std::option::Option<B>,
            c: (Option<B>),
            #[serde(default)]
            d: B,
            #[serde(skip)]
            e: B,
        }
    };
    let of = Struct::read(&input).unwrap();
    let required = of
        .fields
        .iter()
        .filter(|field| field.is_required(&of.container));
    let required: Vec<String> = required.map(|field| field.name.clone()).collect();
    assert_eq!(required, ["a"]);
}

#[test]
fn an_option_in_a_group_is_one() {
    let kind = Type::Group(syn::TypeGroup {
        attrs: Vec::new(),
        group_token: Default::default(),
        elem: Box::new(parse_quote!(Option<u8>)),
    });
    assert_eq!(outer(&kind), "Option");
}
