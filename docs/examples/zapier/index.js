// A Zapier integration for your Coursebell server. How to use it: docs/guides/zapier.md

const { version } = require("./package.json");
const { version: platformVersion } = require("zapier-platform-core");

const address = (bundle, path) => `${bundle.authData.url.replace(/\/+$/, "")}/api/zapier${path}`;

// --- every request

const sendKey = (request, z, bundle) => {
  request.headers["X-API-KEY"] = bundle.authData.apiKey;
  request.skipThrowForStatus = true; // sayWhatIsWrong knows more than the status
  return request;
};

const sayWhatIsWrong = (response, z) => {
  if (response.status < 400) return response;
  const { errors = [], fieldErrors = {}, error_description: access } = response.data || {};
  const named = Object.entries(fieldErrors).map(([field, rule]) => `${field}: ${rule}`);
  const message = [...errors, ...named, access].filter(Boolean).join(" ");
  throw new z.errors.Error(message || "Coursebell refused", "Refused", response.status);
};

const authentication = {
  type: "custom",
  fields: [
    {
      key: "url",
      label: "Server",
      required: true,
      placeholder: "https://learn.example",
      helpText: "Where your Coursebell is, without a path.",
    },
    {
      key: "apiKey",
      label: "Token",
      type: "password",
      required: true,
      helpText: "An administrator's token, from `coursebell token create`.",
    },
  ],
  test: { url: "{{bundle.authData.url}}/api/zapier/studentregistration" },
  connectionLabel: "{{bundle.authData.url}}",
};

// --- triggers: REST hooks

// Keys of fields in Zapier have no dots, those of Coursebell's filters do.
const FILTERS = {
  offering: { filter: "offering.id", label: "Offering", dynamic: "open_offering.id.name" },
  title: { filter: "offering.title.contains", label: "Title contains" },
  email: {
    filter: "user.email.endswith",
    label: "Email ends with",
    placeholder: "@company.example",
  },
  passed: { filter: "registration.passed", label: "Passed", type: "boolean" },
  type: {
    filter: "element.type",
    label: "Type of element",
    choices: ["chalkboard", "test", "file", "assignment", "sco", "webarchive"],
  },
};

const hook = (event, noun, description, filters) => {
  const subscriptions = (bundle) => address(bundle, `/subscription/${event}`);
  // An event has no id of its own in its body: its subject's will do.
  const withId = (found) => ({
    id: (found.registration || found.element || found.user).id,
    ...found,
  });

  return {
    key: event,
    noun,
    display: { label: noun, description },
    operation: {
      type: "hook",
      inputFields: filters.map((key) => {
        const { filter, ...field } = FILTERS[key];
        return { key, required: false, ...field };
      }),
      performSubscribe: async (z, bundle) => {
        const body = { hookUrl: bundle.targetUrl };
        for (const key of filters) body[FILTERS[key].filter] = bundle.inputData[key];
        const response = await z.request({ url: subscriptions(bundle), method: "POST", body });
        return response.data;
      },
      performUnsubscribe: async (z, bundle) => {
        const url = `${subscriptions(bundle)}/${bundle.subscribeData.id}`;
        await z.request({ url, method: "DELETE" });
        return {};
      },
      perform: (z, bundle) => [withId(bundle.cleanedRequest)],
      performList: async (z, bundle) => {
        const response = await z.request({ url: subscriptions(bundle) });
        return response.data.map(withId);
      },
    },
  };
};

const hooks = [
  hook("user_created", "User Created", "Triggers when a user is created.", ["email"]),
  hook(
    "offering_registered",
    "Offering Registered",
    "Triggers when a user is registered for an offering.",
    ["offering", "title", "email"],
  ),
  hook(
    "offering_completed",
    "Offering Completed",
    "Triggers when a user completes an offering, passed or failed.",
    ["offering", "title", "email", "passed"],
  ),
  hook(
    "element_completed",
    "Element Completed",
    "Triggers when a user completes an element of a course.",
    ["offering", "title", "email", "type"],
  ),
];

const openOffering = {
  key: "open_offering",
  noun: "Open Offering",
  display: {
    label: "Open Offering",
    description: "Lists the offerings that are open for registration.",
    hidden: true,
  },
  operation: {
    perform: async (z, bundle) => {
      const response = await z.request({ url: address(bundle, "/studentregistration") });
      return response.data;
    },
  },
};

// --- actions

const action = (key, path, noun, label, description, inputFields) => ({
  key,
  noun,
  display: { label, description },
  operation: {
    inputFields,
    perform: async (z, bundle) => {
      const body = bundle.inputData;
      const response = await z.request({ url: address(bundle, path), method: "POST", body });
      return response.data;
    },
  },
});

const createUser = action(
  "create_user",
  "/user",
  "User",
  "Create User",
  "Creates a learner.",
  [
    { key: "firstName", label: "First name", required: true },
    { key: "lastName", label: "Last name", required: true },
    { key: "emailAddress", label: "Email", required: true },
    { key: "username", label: "Username", helpText: "Only where one signs in with it." },
  ],
);

const registerStudent = action(
  "register_student",
  "/studentregistration",
  "Registration",
  "Register Student",
  "Registers the user with this e-mail address for an offering.",
  [
    { key: "emailAddress", label: "Email", required: true },
    { key: "offeringId", label: "Offering", required: true, dynamic: "open_offering.id.name" },
  ],
);

const byKey = (operations) => Object.fromEntries(operations.map((each) => [each.key, each]));

module.exports = {
  version,
  platformVersion,
  authentication,
  beforeRequest: [sendKey],
  afterResponse: [sayWhatIsWrong],
  triggers: byKey([...hooks, openOffering]),
  creates: byKey([createUser, registerStudent]),
};
