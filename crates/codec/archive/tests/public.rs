//! The integers of a real public archive, against the size they have there.

#[test]
fn the_public_archive_shrinks_without_loss() {
    let Some(path) = testdata::shared("archives/hnerv-muon-public.bin") else { return };
    let foreign = std::fs::read(path).unwrap();
    let bytes = foreign.len();
    let representation = archive::import(&foreign, "0").unwrap();
    let archive = archive::encode(&representation);
    assert_eq!(archive::decode(&archive).unwrap(), representation);

    let budget = archive::budget(&archive).unwrap();
    for share in &budget.shares {
        println!(
            "{:20} {:7} {:9.1} bytes {:6.3} bits each, entropy {:9.1}",
            share.name,
            share.values,
            share.bytes,
            share.bits_per_value(),
            share.entropy_bytes
        );
    }
    println!("{} bytes, {bytes} in the public archive", budget.bytes);
    assert!(archive.len() <= 174_200, "{}", archive.len());

    let overhead: f64 = budget.shares.iter().filter(|share| share.values == 0).map(|share| share.bytes).sum();
    assert!(overhead < 64.0, "{overhead} bytes of header and framing");
}
