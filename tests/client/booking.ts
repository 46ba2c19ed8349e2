// A front end's first booking, in the types generated from the OpenAPI document. It is compiled, never run:
// what a developer relies on here can't be renamed or lost unnoticed.

import type { components, operations, paths } from "../../build/api";

type Answer<Operation extends { responses: object }, Status extends keyof Operation["responses"]> =
  Operation["responses"][Status] extends { content: { "application/json": infer Body } } ? Body : never;

type Login = Answer<operations["login"], 200>;
type Slots = Answer<operations["search_slots"], 200>;
type Appointment = Answer<operations["book_appointment"], 201>;
type Refusal = Answer<operations["book_appointment"], 409>;
type Malformed = Answer<operations["book_appointment"], 422>;
type Query = NonNullable<paths["/api/v1/slots"]["get"]["parameters"]["query"]>;

async function call<Body>(url: string, init: RequestInit): Promise<Body> {
  const response = await fetch(url, init);
  if (!response.ok) {
    const error: { detail: string; error_code: string } = await response.json();
    throw new Error(`${error.error_code}: ${error.detail}`);
  }
  return response.json();
}

export async function bookFirst(base: string, email: string, password: string): Promise<Appointment | null> {
  const login = await call<Login>(`${base}/auth/login`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ email, password }),
  });
  const query: Query = { limit: 1 };
  const slots = await call<Slots>(`${base}/slots?limit=${query.limit}`, {});
  const first = slots.items[0];
  if (first === undefined) return null;
  const body: components["schemas"]["BookIn"] = { slot_id: first.id, reason: "Annual check-up" };
  return call<Appointment>(`${base}/appointments`, {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      Authorization: `Bearer ${login.access_token}`,
      "Idempotency-Key": crypto.randomUUID(),
    },
    body: JSON.stringify(body),
  });
}

export function explain(refusal: Refusal): string {
  return `${refusal.error_code}: ${refusal.detail}`;
}

export function faults(answer: Malformed): string[] {
  return "errors" in answer ? answer.errors.map((fault) => `${fault.loc.join(".")}: ${fault.msg}`) : [answer.detail];
}
