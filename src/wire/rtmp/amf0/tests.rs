use bytes::BytesMut;
use proptest::prelude::*;

use super::*;

fn decoded(bytes: &[u8]) -> Result<Vec<Value>, AmfError> {
    decode(bytes, &Limits::default())
}

#[test]
fn a_hundred_thousand_nested_objects_are_refused_without_using_the_stack() {
    let limits = Limits { bytes: usize::MAX, depth: usize::MAX, values: usize::MAX };
    let objects: Vec<u8> = [3, 0, 1, b'a'].repeat(200_000);
    assert_eq!(decode(&objects, &limits), Err(AmfError::TooDeep(DEEPEST)));
    let arrays: Vec<u8> = [0x0a, 0, 0, 0, 1].repeat(200_000);
    assert_eq!(decode(&arrays, &limits), Err(AmfError::TooDeep(DEEPEST)));
    let mut amf3 = vec![0x11];
    amf3.extend([0x09, 0x03, 0x01].repeat(200_000));
    assert_eq!(decode(&amf3, &limits), Err(AmfError::TooDeep(DEEPEST)));
    assert_eq!(decoded(&objects), Err(AmfError::TooLong { length: 800_000, limit: Limits::default().bytes }));
}

#[test]
fn dates_long_strings_xml_and_typed_objects_are_read() {
    let mut bytes = vec![0x0b];
    bytes.extend(1.5e12f64.to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend([0x0c, 0, 0, 0, 2, b'h', b'i']);
    bytes.extend([0x0f, 0, 0, 0, 4, b'<', b'a', b'/', b'>']);
    bytes.extend([0x10, 0, 1, b'C', 0, 1, b'x', 1, 1, 0, 0, 9]);
    let expected = [Value::Date(1.5e12), "hi".into(), "<a/>".into(), object([("x", Value::Boolean(true))])];
    assert_eq!(decoded(&bytes).unwrap(), expected);
}

#[test]
fn an_associative_array_with_a_wrong_count_is_read_to_its_end_marker() {
    let bytes = [8, 0xff, 0xff, 0xff, 0xff, 0, 1, b'a', 5, 0, 0, 9, 6];
    assert_eq!(decoded(&bytes).unwrap(), [Value::EcmaArray(vec![("a".into(), Value::Null)]), Value::Undefined]);
}

#[test]
fn an_array_that_claims_billions_is_refused_before_it_is_built() {
    assert_eq!(decoded(&[0x0a, 0xff, 0xff, 0xff, 0xff, 5]), Err(AmfError::TooMany(4096)));
    assert_eq!(decoded(&[0x0a, 0, 0, 1, 0, 5]), Err(AmfError::Truncated));
}

#[test]
fn values_are_counted_over_the_whole_message() {
    assert_eq!(decoded(&[5; 4097]), Err(AmfError::TooMany(4096)));
    assert_eq!(decoded(&[5; 4096]).unwrap().len(), 4096);
}

#[test]
fn references_and_movie_clips_are_refused_by_name() {
    assert_eq!(decoded(&[0x07, 0, 0]), Err(AmfError::Type { version: 0, marker: 0x07 }));
    assert_eq!(decoded(&[0x04]), Err(AmfError::Type { version: 0, marker: 0x04 }));
    assert_eq!(decoded(&[0x11, 0x0a, 0x02]), Err(AmfError::Type { version: 3, marker: 0x0a }));
}

#[test]
fn amf3_values_are_read_after_the_switch_and_amf0_goes_on_behind_them() {
    let bytes = [
        0x11, 0x04, 0x81, 0x00, // 128
        0x11, 0x04, 0xff, 0xff, 0xff, 0xff, // -1
        0x11, 0x06, 0x05, b'h', b'i', // "hi"
        0x11, 0x0a, 0x0b, 0x01, 0x03, b'a', 0x06, 0x03, b'b', 0x03, b'c', 0x06, 0x02, 0x01, // {a: "b", c: "b"}
        0x11, 0x0a, 0x13, 0x01, 0x03, b'x', 0x03, // sealed {x: true}
        0x11, 0x09, 0x05, 0x01, 0x02, 0x01, // [false, null]
        0x05,
    ];
    let expected = [
        Value::Number(128.0),
        Value::Number(-1.0),
        "hi".into(),
        object([("a", "b".into()), ("c", "b".into())]),
        object([("x", Value::Boolean(true))]),
        Value::StrictArray(vec![Value::Boolean(false), Value::Null]),
        Value::Null,
    ];
    assert_eq!(decoded(&bytes).unwrap(), expected);
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        (-1e9f64..1e9).prop_map(Value::Number),
        any::<bool>().prop_map(Value::Boolean),
        "[a-zé]{0,8}".prop_map(Value::String),
        (-1e9f64..1e9).prop_map(Value::Date),
        Just(Value::Null),
        Just(Value::Undefined),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let members = prop::collection::vec(("[a-z]{1,5}", inner.clone()), 0..6);
        prop_oneof![
            members.clone().prop_map(Value::Object),
            members.prop_map(Value::EcmaArray),
            prop::collection::vec(inner, 0..6).prop_map(Value::StrictArray),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_again(value in values()) {
        let mut bytes = BytesMut::new();
        encode(&value, &mut bytes);
        prop_assert_eq!(decoded(&bytes).unwrap(), [value.clone()]);
        let cut = decoded(&bytes[..bytes.len() - 1]);
        prop_assert!(cut.is_err() || cut == Ok(Vec::new()));
    }

    #[test]
    fn noise_never_panics(noise in prop::collection::vec(prop_oneof![0u8..0x12, any::<u8>()], 0..300)) {
        let _ = decoded(&noise);
        let _ = decoded(&[&[0x11], &noise[..]].concat());
    }
}
