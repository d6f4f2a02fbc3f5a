// GNOMON_MULTIVERSION: a function compiled once for every x86-64 and once with AVX2 and FMA, chosen when the program
// loads. Not with sanitizers, whose run time is not up when the choice is made.
#pragma once

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12 && !defined(GNOMON_SANITIZED)
#define GNOMON_MULTIVERSION __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define GNOMON_MULTIVERSION
#endif
