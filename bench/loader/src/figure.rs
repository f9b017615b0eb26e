//! A figure that is not the cost of a request: memory, a start, a group that settles.

/// Taken several times where that makes sense, of Ottla and perhaps of Kafka.
#[derive(Debug)]
pub struct Figure {
    pub name: &'static str,
    pub about: &'static str,
    pub unit: &'static str,
    pub values: Vec<f64>,
    /// In the same unit, where one is set.
    pub goal: Option<f64>,
    pub kafka: Option<OfKafka>,
}

/// The same of Apache Kafka.
#[derive(Debug)]
pub struct OfKafka {
    pub values: Vec<f64>,
    /// What Ottla's may be of Kafka's.
    pub goal: Option<f64>,
}

impl Figure {
    /// Of Ottla alone.
    pub fn alone(
        name: &'static str,
        (about, unit): (&'static str, &'static str),
        values: Vec<f64>,
        goal: Option<f64>,
    ) -> Figure {
        Figure { name, about, unit, values, goal, kafka: None }
    }
}
