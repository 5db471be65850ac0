// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

//! statistics reads `name,value` lines on standard input and prints count,
//! mean and median per name. It uses nothing but Rust's standard library.

use std::collections::BTreeMap;
use std::io::{self, BufRead};
use std::process::exit;

fn main() {
    let mut groups: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (number, line) in io::stdin().lock().lines().enumerate() {
        let line = line.expect("standard input is not UTF-8");
        let parsed = line
            .split_once(',')
            .and_then(|(name, value)| Some((name, value.trim().parse::<f64>().ok()?)));
        match parsed {
            Some((name, value)) => groups.entry(name.trim().to_string()).or_default().push(value),
            None => {
                eprintln!("statistics: line {}: expected name,value", number + 1);
                exit(4);
            }
        }
    }
    for (name, values) in &mut groups {
        values.sort_by(|a, b| a.total_cmp(b));
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            (values[middle - 1] + values[middle]) / 2.0
        };
        println!("{name:<10} n={:<3} mean={mean:.3} median={median:.3}", values.len());
    }
    let unit = std::env::var("UNIT").unwrap_or_else(|_| "none".to_string());
    println!("{} groups, unit {unit}", groups.len());
}
