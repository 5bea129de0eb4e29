//! Builds the crate again when a migration is added: `sqlx::migrate!` reads the folder, and Cargo does not know it.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
