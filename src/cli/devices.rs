//! `usbwright devices`: the models that can be made.

use std::{io::Write, process::ExitCode};

use serde_json::json;
use usbwright::{
    models::{MODELS, Model},
    source::{ELSEWHERE, Elsewhere},
};

use crate::cli::output::output;

/// List the device models, with their parameters, and what else a SPEC may name.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut out = output();
    if arguments.json {
        let models = MODELS.iter().map(as_json);
        let all: Vec<_> = models
            .chain(ELSEWHERE.iter().map(elsewhere_as_json))
            .collect();
        writeln!(out, "{:#}", json!(all))?;
    } else {
        for model in MODELS {
            write_text(&mut out, model)?;
        }
        for kind in ELSEWHERE {
            write_elsewhere(&mut out, kind)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn speeds(model: &Model) -> String {
    let names: Vec<_> = model.speeds.iter().map(|speed| speed.name()).collect();
    names.join("|")
}

fn write_text(out: &mut impl Write, model: &Model) -> std::io::Result<()> {
    writeln!(out, "{}: {}", model.name, model.summary)?;
    let mut line = |name: &str, values: &str, summary: &str| write_line(out, name, values, summary);
    let default = model.speeds.first().map_or("", |speed| speed.name());
    line(
        "speed",
        &speeds(model),
        &format!("the speed it runs at (default {default})"),
    )?;
    line(
        "busid",
        "ID",
        "its bus id (default: the first free one of 1-1, 1-2, …)",
    )?;
    for parameter in model.parameters {
        let summary = format!("{} (default {})", parameter.summary, parameter.default);
        line(parameter.name, parameter.values, &summary)?;
    }
    Ok(())
}

fn write_elsewhere(out: &mut impl Write, kind: &Elsewhere) -> std::io::Result<()> {
    writeln!(out, "{}: {}", kind.name, kind.summary)?;
    for (name, values, summary) in kind.parameters {
        write_line(out, name, values, summary)?;
    }
    Ok(())
}

fn write_line(
    out: &mut impl Write,
    name: &str,
    values: &str,
    summary: &str,
) -> std::io::Result<()> {
    let written = match values {
        "" => name.to_owned(),
        values => format!("{name}={values}"),
    };
    writeln!(out, "    {written:34} {summary}")
}

fn elsewhere_as_json(kind: &Elsewhere) -> serde_json::Value {
    let parameters = kind.parameters.iter().map(
        |(name, values, summary)| json!({ "name": name, "values": values, "summary": summary }),
    );
    json!({
        "name": kind.name,
        "summary": kind.summary,
        "parameters": parameters.collect::<Vec<_>>(),
    })
}

fn as_json(model: &Model) -> serde_json::Value {
    let parameters: Vec<_> = model
        .parameters
        .iter()
        .map(|it| {
            json!({
                "name": it.name,
                "values": it.values,
                "default": it.default,
                "summary": it.summary,
                "repeats": it.repeats,
            })
        })
        .collect();
    json!({
        "name": model.name,
        "summary": model.summary,
        "speeds": model.speeds.iter().map(|speed| speed.name()).collect::<Vec<_>>(),
        "parameters": parameters,
    })
}
