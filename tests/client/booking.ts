// A front end's first booking with openapi-typescript and openapi-fetch. It is compiled, never run: what a developer
// relies on here can't be renamed or lost unnoticed.

import createClient from "openapi-fetch";
import type { components, paths } from "./openapi-typescript";

type Appointment = components["schemas"]["AppointmentOut"];
type Slot = components["schemas"]["SlotOut"];

const client = createClient<paths>({ baseUrl: "" });

export async function logIn(email: string, password: string): Promise<string> {
  const { data, error } = await client.POST("/api/v1/auth/login", { body: { email, password } });
  if (error !== undefined) throw new Error(`${error.error_code}: ${error.detail}`);
  client.use({
    onRequest({ request }) {
      request.headers.set("Authorization", `Bearer ${data.access_token}`);
    },
  });
  return data.user.email ?? data.user.name;
}

export async function findFirst(specialty: string): Promise<Slot | undefined> {
  const { data } = await client.GET("/api/v1/slots", { params: { query: { specialty, limit: 1 } } });
  return data?.items[0];
}

export async function book(slot: Slot): Promise<Appointment | Slot[] | string> {
  const { data, error } = await client.POST("/api/v1/appointments", {
    params: { header: { "Idempotency-Key": crypto.randomUUID() } },
    body: { slot_id: slot.id, reason: "Annual check-up" },
  });
  if (error === undefined) return data;
  switch (error.error_code) {
    case "SLOT_TAKEN":
    case "SLOT_NOT_OPEN":
    case "DAY_FULL":
      return error.alternatives;
    case "VALIDATION_ERROR":
      return error.errors.map((fault) => `${fault.loc.join(".")}: ${fault.msg}`).join("; ");
    default:
      return error.detail;
  }
}
