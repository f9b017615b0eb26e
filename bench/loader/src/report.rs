//! The figures for people who watch: a line each.

use crate::figure::{Figure, Spread};

/// A figure of these servers.
pub fn line(figure: &Figure, servers: &[&str]) -> String {
    let mut line = format!("{:24} {:44}", figure.row, figure.title());
    for server in servers {
        line += &format!(" {server} {:22}", figure.of(server).map_or("-".into(), Spread::text));
    }
    for server in servers.iter().filter(|server| **server != "ottla") {
        if let Some(judged) = figure.ratio(server) {
            line += &format!(" of {server} {:14}", judged.text());
        }
    }
    if let Some(goal) = figure.goals.itself.filter(|_| figure.is_over_itself()) {
        line += &format!(" over {goal}!");
    }
    line.trim_end().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Goals;

    #[test]
    fn lines() {
        let values = [("ottla", 6.0), ("floor", 3.0), ("kafka", 60.0)].map(|(name, value)| (name.into(), vec![value]));
        let goals = Goals { itself: Some(5.0), of_floor: Some(1.5), ..Goals::of_kafka(0.3) };
        let figure = Figure { row: "row".into(), about: "it".into(), unit: "µs".into(), goals, values: values.into() };
        let words = |servers: &[&str]| line(&figure, servers).split_whitespace().collect::<Vec<_>>().join(" ");
        let whole = "row it, µs ottla 6.00 floor 3.00 kafka 60.0 of floor 2.00 (1.5)! of kafka 0.10 (0.3) over 5!";
        assert_eq!(words(&["ottla", "floor", "kafka"]), whole);
        assert_eq!(words(&["ottla"]), "row it, µs ottla 6.00 over 5!");
    }
}
