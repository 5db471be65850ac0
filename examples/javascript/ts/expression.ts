// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

/** What became of an expression. */
export type Result = { kind: "value"; value: number } | { kind: "problem"; problem: string; at: number };

class Problem extends Error {
  constructor(message: string, readonly at: number) {
    super(message);
  }
}

const operators: Record<string, { binds: number; apply: (a: number, b: number) => number }> = {
  "+": { binds: 1, apply: (a, b) => a + b },
  "-": { binds: 1, apply: (a, b) => a - b },
  "*": { binds: 2, apply: (a, b) => a * b },
  "/": { binds: 2, apply: (a, b) => a / b },
};

class Parser {
  private at = 0;

  constructor(private readonly text: string) {}

  /** all parses an expression after which nothing stands. */
  all(): number {
    const value = this.expression(0);
    if (this.peek() !== undefined) throw new Problem("unexpected " + this.peek(), this.at);
    return value;
  }

  private peek(): string | undefined {
    while (this.text[this.at] === " ") this.at++;
    return this.text[this.at];
  }

  private expression(least: number): number {
    let value = this.operand();
    for (;;) {
      const operator = operators[this.peek() ?? ""];
      if (operator === undefined || operator.binds <= least) return value;
      this.at++;
      value = operator.apply(value, this.expression(operator.binds));
    }
  }

  private operand(): number {
    const c = this.peek();
    if (c === "(") {
      this.at++;
      const value = this.expression(0);
      if (this.peek() !== ")") throw new Problem("no closing parenthesis", this.at);
      this.at++;
      return value;
    }
    const digits = /^-?\d+(\.\d+)?(e[+-]?\d+)?/.exec(this.text.slice(this.at));
    if (digits === null) throw new Problem("no operand", this.at);
    this.at += digits[0].length;
    return Number(digits[0]);
  }
}

export function evaluate(text: string): Result {
  try {
    return { kind: "value", value: new Parser(text).all() };
  } catch (e) {
    if (e instanceof Problem) return { kind: "problem", problem: e.message, at: e.at };
    throw e;
  }
}
