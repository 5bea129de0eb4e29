//! Random vectors with a distribution like that of texts: clusters, spread along a few common directions.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rand_distr::StandardNormal;

/// Number of dimensions of small sentence models.
pub const DIMENSIONS: usize = 384;
/// Number of clusters, and of the directions in which points spread.
const CENTRES: usize = 500;
const DIRECTIONS: usize = 32;
/// Distance of points from the centre of their cluster: along the directions, and in all dimensions.
const SPREAD: f32 = 0.12;
const NOISE: f32 = 0.015;

pub type Vector = Vec<f32>;

/// The source of the vectors. It is the same in each run.
pub struct World {
    centres: Vec<Vector>,
    directions: Vec<Vector>,
}

/// The vectors of one payer.
pub struct Source<'a> {
    world: &'a World,
    random: StdRng,
    clusters: Vec<usize>,
}

impl World {
    pub fn new() -> Self {
        let mut random = StdRng::seed_from_u64(1);
        let mut normal = |count: usize| -> Vec<Vector> {
            (0..count).map(|_| (0..DIMENSIONS).map(|_| random.sample::<f32, _>(StandardNormal)).collect()).collect()
        };
        let centres = normal(CENTRES).into_iter().map(unit).collect();
        Self { centres, directions: normal(DIRECTIONS) }
    }

    /// The vectors of a payer, in `clusters` clusters.
    pub fn payer(&self, number: usize, clusters: usize) -> Source<'_> {
        let mut random = StdRng::seed_from_u64(1_000 + u64::try_from(number).expect("small"));
        let clusters = (0..clusters).map(|_| random.random_range(0..CENTRES)).collect();
        Source { world: self, random, clusters }
    }
}

impl Source<'_> {
    pub fn draw(&mut self) -> Vector {
        let cluster = self.clusters.get(self.random.random_range(0..self.clusters.len())).copied().unwrap_or_default();
        let mut point = self.world.centres.get(cluster).expect("a centre").clone();
        for direction in &self.world.directions {
            // The length of a direction is about the square root of the number of dimensions.
            let along = SPREAD * self.random.sample::<f32, _>(StandardNormal) / 384_f32.sqrt();
            point.iter_mut().zip(direction).for_each(|(number, part)| *number += along * part);
        }
        point.iter_mut().for_each(|number| *number += NOISE * self.random.sample::<f32, _>(StandardNormal));
        unit(point)
    }
}

fn unit(mut vector: Vector) -> Vector {
    let length = dot(&vector, &vector).sqrt();
    vector.iter_mut().for_each(|number| *number /= length);
    vector
}

pub fn dot(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

/// The indexes of the ten nearest vectors, among the wanted ones.
pub fn nearest(vectors: &[Vector], query: &[f32], is_wanted: impl Fn(usize) -> bool) -> Vec<usize> {
    let mut near: Vec<(f32, usize)> = vectors
        .iter()
        .enumerate()
        .filter(|(place, _)| is_wanted(*place))
        .map(|(place, v)| (dot(v, query), place))
        .collect();
    near.sort_by(|one, other| other.0.total_cmp(&one.0));
    near.truncate(10);
    near.into_iter().map(|(_, place)| place).collect()
}
