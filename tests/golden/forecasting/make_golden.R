#!/usr/bin/env Rscript
# Fits the reference implementation of Prophet (Debian: r-cran-prophet, version 1.0) to series that anybody may have, R's
# built-in data sets and synthetic ones, and writes everything a test needs to check another implementation:
#   Rscript make_golden.R [FOLDER]     (default: the folder of this script)
# Deterministic: fixed seeds, no uncertainty sampling, Stan's Newton optimiser, which unlike the default L-BFGS does not stop
# short of the optimum. One folder per fit:
#   meta.txt         settings, scaling, k, m, sigma, Stan's objective `value`, start of the optimiser (init_k, init_m)
#   input.csv        what was fitted: ds, y, cap, floor, regressors; NA = missing
#   holidays.csv     events, if any
#   future.csv       times (and covariates) of the forecast
#   changepoints.csv beta.csv X_sample.csv forecast.csv
suppressMessages(library(prophet))
options(digits = 17, scipen = 0, warn = 1)
arguments <- commandArgs(trailingOnly = TRUE)
script <- sub("--file=", "", grep("--file=", commandArgs(FALSE), value = TRUE))
root <- if (length(arguments) > 0) arguments[1] else dirname(normalizePath(script))

text <- function(x) formatC(x, digits = 17, format = "g", width = 1)
short <- function(x) formatC(x, digits = 11, format = "g", width = 1)
stamp <- function(ds) format(ds, "%Y-%m-%d %H:%M:%S", tz = "GMT")

write_rows <- function(df, path, number = text) {
  for (name in names(df)) {
    if (inherits(df[[name]], "POSIXct")) df[[name]] <- stamp(df[[name]])
    else if (is.numeric(df[[name]])) df[[name]] <- ifelse(is.na(df[[name]]), "NA", number(df[[name]]))
  }
  write.csv(df, path, row.names = FALSE, quote = FALSE)
}

golden <- function(name, m, df, future, holidays = NULL, meta = list()) {
  folder <- file.path(root, name)
  dir.create(folder, showWarnings = FALSE, recursive = TRUE)
  settings <- list(growth = m$growth, n_changepoints = m$n.changepoints, changepoint_range = m$changepoint.range,
                   changepoint_prior_scale = text(m$changepoint.prior.scale),
                   seasonality_prior_scale = text(m$seasonality.prior.scale), seasonality_mode = m$seasonality.mode)
  for (which in c("yearly", "weekly", "daily")) {
    value <- m[[paste0(which, ".seasonality")]]
    settings[[which]] <- if (identical(value, "auto")) "auto" else if (isTRUE(value)) "on" else "off"
  }
  m <- fit.prophet(m, df, algorithm = "Newton", iter = 20000)
  out <- prophet:::setup_dataframe(m, dplyr::filter(df, !is.na(y)))
  start <- switch(m$growth, linear = prophet:::linear_growth_init(out$df), flat = prophet:::flat_growth_init(out$df),
                  logistic = prophet:::logistic_growth_init(out$df))
  seasonalities <- sapply(names(m$seasonalities), function(s) {
    p <- m$seasonalities[[s]]
    sprintf("%s:period=%s,order=%d,prior=%s,mode=%s", s, text(p$period), as.integer(p$fourier.order), text(p$prior.scale), p$mode)
  })
  values <- c(list(name = name), settings, meta, list(
    n = nrow(m$history), seasonalities = paste(seasonalities, collapse = ";"), y_scale = text(m$y.scale), t_start = stamp(m$start),
    t_scale_seconds = text(m$t.scale), k = text(m$params$k), m = text(m$params$m), sigma_obs = text(m$params$sigma_obs),
    stan_value = text(m$stan.fit$value), stan_return_code = m$stan.fit$return_code, algorithm = "Newton",
    init_k = text(start[1]), init_m = text(start[2])))
  writeLines(paste0(names(values), "=", unlist(values)), file.path(folder, "meta.txt"))

  write_rows(df, file.path(folder, "input.csv"))
  write_rows(future, file.path(folder, "future.csv"))
  if (!is.null(holidays)) write_rows(holidays, file.path(folder, "holidays.csv"))
  write_rows(data.frame(i = seq_along(m$changepoints.t), changepoint_t = m$changepoints.t, delta = m$params$delta[1, ]),
             file.path(folder, "changepoints.csv"))
  features <- prophet:::make_all_seasonality_features(m, m$history)
  x <- as.matrix(features$seasonal.features)
  write_rows(data.frame(j = seq_len(ncol(x)), feature = colnames(x), prior_scale = features$prior.scales,
                        additive = features$component.cols$additive_terms,
                        multiplicative = features$component.cols$multiplicative_terms, beta = m$params$beta[1, ]),
             file.path(folder, "beta.csv"))
  rows <- unique(c(1:min(5, nrow(x)), nrow(x)))
  write_rows(data.frame(row = rows, x[rows, , drop = FALSE], check.names = FALSE), file.path(folder, "X_sample.csv"))
  forecast <- predict(m, future)
  keep <- intersect(c("ds", "yhat", "trend", "additive_terms", "multiplicative_terms",
                      unique(sapply(strsplit(colnames(x), "_delim_", fixed = TRUE), `[`, 1))), names(forecast))
  write_rows(as.data.frame(forecast)[keep], file.path(folder, "forecast.csv"), short)
  cat(sprintf("%-22s n %4d  columns %2d  value %.6f  return code %d\n", name, nrow(m$history), ncol(x), m$stan.fit$value,
              m$stan.fit$return_code))
}

monthly <- function(series) {
  first <- as.POSIXct(sprintf("%d-%02d-01", start(series)[1], start(series)[2]), tz = "GMT")
  data.frame(ds = seq(first, by = "month", length.out = length(series)), y = as.numeric(series))
}
hours <- function(n, step = 1, from = "2021-03-01") as.POSIXct(from, tz = "GMT") + 3600 * step * seq(0, n - 1)
model <- function(...) prophet(uncertainty.samples = 0, ...)
ahead <- function(df, n, step) data.frame(ds = c(df$ds, tail(df$ds, 1) + step * seq_len(n)))
random <- function(seed) set.seed(seed, kind = "Mersenne-Twister", normal.kind = "Inversion", sample.kind = "Rejection")

# R's data sets: monthly, decades, one season
air <- monthly(AirPassengers)
golden("air_additive", model(), air, ahead(air, 24, 30.4375 * 86400))
golden("air_multiplicative", model(seasonality.mode = "multiplicative"), air, ahead(air, 24, 30.4375 * 86400))
air$cap <- 1000
golden("air_logistic", model(growth = "logistic", seasonality.mode = "multiplicative"), air,
       cbind(ahead(air, 24, 30.4375 * 86400), cap = 1000))
co2_monthly <- monthly(co2)
golden("co2", model(), co2_monthly, ahead(co2_monthly, 24, 30.4375 * 86400))
golden("co2_late_changes", model(n.changepoints = 40, changepoint.range = 0.95, changepoint.prior.scale = 0.5), co2_monthly,
       ahead(co2_monthly, 24, 30.4375 * 86400))
nottem_monthly <- monthly(nottem)
golden("nottem_flat", model(growth = "flat"), nottem_monthly, ahead(nottem_monthly, 24, 30.4375 * 86400))

# A disk's hourly load, log scale: day, week, a step up, a trend
random(11)
n <- 24 * 20
df <- data.frame(ds = hours(n))
phase <- 2 * pi * (seq_len(n) - 1) / 24
weekday <- 1 - 0.3 * (as.POSIXlt(df$ds)$wday %in% c(0, 6))
df$y <- round(4 + weekday * (1.2 * sin(phase) + 0.4 * cos(2 * phase)) + 0.0006 * seq_len(n) + 0.8 * (seq_len(n) > 300) +
              rnorm(n, 0, 0.15), 6)
golden("load_hourly", model(), df, ahead(df, 48, 3600))
golden("load_stiff", model(changepoint.prior.scale = 0.001, seasonality.prior.scale = 0.1), df, ahead(df, 48, 3600))
golden("load_no_changes", model(n.changepoints = 0), df, ahead(df, 48, 3600))
gaps <- df
gaps$y[c(1:5, 100:180, 333, 400:401, n)] <- NA
golden("load_gaps", model(), gaps, ahead(df, 48, 3600))
custom <- add_seasonality(model(weekly.seasonality = FALSE), name = "six_hours", period = 0.25, fourier.order = 3)
golden("load_six_hours", custom, df, ahead(df, 48, 3600))

# Growing swings: multiplicative day
df$y <- round((20 + 0.05 * seq_len(n)) * (1 + 0.4 * sin(phase) + 0.1 * cos(2 * phase)) + rnorm(n, 0, 1), 6)
golden("swings_multiplicative", model(seasonality.mode = "multiplicative", weekly.seasonality = FALSE), df, ahead(df, 48, 3600))

# A disk that fills: logistic with a floor, and capacity that is raised
random(12)
n <- 400
df <- data.frame(ds = hours(n, 24))
level <- 1 / (1 + exp(-(seq_len(n) - 180) / 50))
df$y <- round(2 + 8 * level + 0.3 * sin(2 * pi * seq_len(n) / 7) + rnorm(n, 0, 0.15), 6)
df$cap <- ifelse(seq_len(n) < 250, 10.5, 12)
df$floor <- 1.5
future <- ahead(df, 60, 86400)
future$cap <- c(df$cap, rep(12, 60))
future$floor <- 1.5
golden("fill_logistic", model(growth = "logistic"), df, future)

# Deployments and batch jobs as events with windows
random(13)
n <- 365
df <- data.frame(ds = hours(n, 24))
df$y <- 50 + 0.02 * seq_len(n) + 6 * sin(2 * pi * seq_len(n) / 7) + rnorm(n, 0, 1)
release <- c(20, 48, 90, 91, 150, 222, 300, 370)
batch <- c(10, 40, 71, 101, 132, 162, 193, 224, 254, 285, 315, 346)
df$y[release[1:7]] <- df$y[release[1:7]] + 15
df$y[release[1:7] + 1] <- df$y[release[1:7] + 1] + 7
df$y[batch - 1] <- df$y[batch - 1] - 4
df$y[batch] <- df$y[batch] + 20
df$y <- round(df$y, 6)
day_of <- function(i) as.POSIXct("2021-03-01", tz = "GMT") + 86400 * (i - 1)
holidays <- rbind(
  data.frame(holiday = "release", ds = day_of(release), lower_window = 0, upper_window = 1, prior_scale = 10),
  data.frame(holiday = "batch", ds = day_of(batch), lower_window = -1, upper_window = 0, prior_scale = 0.5))
golden("events", model(holidays = holidays), df, ahead(df, 30, 86400), holidays)

# Extra regressors: one standardised, one of zeros and ones
random(14)
df <- data.frame(ds = hours(n, 24))
df$clients <- round(100 + 30 * sin(seq_len(n) / 20) + rnorm(n, 0, 10), 6)
df$scrub <- as.numeric(seq_len(n) %% 13 == 0)
df$y <- round(30 + 0.3 * df$clients + 12 * df$scrub + 3 * sin(2 * pi * seq_len(n) / 7) + rnorm(n, 0, 1), 6)
m <- add_regressor(add_regressor(model(), "clients", prior.scale = 2), "scrub", prior.scale = 2)
future <- rbind(df[c("ds", "clients", "scrub")],
                data.frame(ds = ahead(df, 30, 86400)$ds[(n + 1):(n + 30)], clients = 110, scrub = as.numeric((n + 1:30) %% 13 == 0)))
golden("regressors", m, df, future, meta = list(regressor_prior = 2))

# Few points: as many changepoints as rows allow
random(15)
df <- data.frame(ds = hours(12, 24), y = round(10 + 0.5 * (1:12) + rnorm(12, 0, 0.5), 6))
golden("twelve_days", model(), df, ahead(df, 5, 86400))
