//! Generates the operation and action tables from the data files beside `src/s3`.
fn main() {
    println!("cargo::rerun-if-changed=src/s3/data");
}
