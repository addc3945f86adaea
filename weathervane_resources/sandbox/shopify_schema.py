"""The part of Shopify's GraphQL Admin schema that the sandbox serves. Types only: values are `graphql_orders.py`."""

from __future__ import annotations

from functools import lru_cache

from graphql import DocumentNode, GraphQLError, GraphQLSchema, build_schema, parse, validate

_SDL = """
scalar DateTime
scalar Decimal
scalar URL
scalar UnsignedInt64

schema { query: QueryRoot  mutation: Mutation }

type QueryRoot {
  orders(first: Int, after: String, query: String, sortKey: OrderSortKeys = PROCESSED_AT, reverse: Boolean = false): OrderConnection!
  ordersCount(query: String, limit: Int = 10000): Count
  order(id: ID!): Order
  node(id: ID!): Node
  shop: Shop!
  currentAppInstallation: AppInstallation!
  currentBulkOperation(type: BulkOperationType = QUERY): BulkOperation
  bulkOperations(first: Int): BulkOperationConnection!
}

type Mutation {
  bulkOperationRunQuery(query: String!, groupObjects: Boolean = false): BulkOperationRunQueryPayload
  bulkOperationCancel(id: ID!): BulkOperationCancelPayload
}

interface Node { id: ID! }
enum OrderSortKeys { CREATED_AT UPDATED_AT PROCESSED_AT ID }
enum CountPrecision { EXACT AT_LEAST }
enum BulkOperationType { QUERY MUTATION }
enum BulkOperationStatus { CANCELED CANCELING COMPLETED CREATED EXPIRED FAILED RUNNING }

type PageInfo { hasNextPage: Boolean! hasPreviousPage: Boolean! startCursor: String endCursor: String }
type Count { count: Int! precision: CountPrecision! }
type Shop { id: ID! name: String! myshopifyDomain: String! ianaTimezone: String! currencyCode: String! plan: ShopPlan! }
type ShopPlan { displayName: String! shopifyPlus: Boolean! }
type AppInstallation { id: ID! accessScopes: [AccessScope!]! }
type AccessScope { handle: String! description: String! }

type OrderConnection { edges: [OrderEdge!]! nodes: [Order!]! pageInfo: PageInfo! }
type OrderEdge { cursor: String! node: Order! }
type MoneyV2 { amount: Decimal! currencyCode: String! }
type MoneyBag { shopMoney: MoneyV2! presentmentMoney: MoneyV2! }
type Order implements Node {
  id: ID! legacyResourceId: UnsignedInt64! name: String! test: Boolean! confirmed: Boolean!
  createdAt: DateTime! processedAt: DateTime! updatedAt: DateTime! cancelledAt: DateTime closedAt: DateTime
  cancelReason: String displayFinancialStatus: String displayFulfillmentStatus: String!
  currencyCode: String! presentmentCurrencyCode: String! sourceName: String tags: [String!]!
  totalPriceSet: MoneyBag! currentTotalPriceSet: MoneyBag! subtotalPriceSet: MoneyBag currentSubtotalPriceSet: MoneyBag!
  taxesIncluded: Boolean! totalTaxSet: MoneyBag currentTotalTaxSet: MoneyBag! totalDiscountsSet: MoneyBag totalShippingPriceSet: MoneyBag!
  subtotalLineItemsQuantity: Int! currentSubtotalLineItemsQuantity: Int!
  lineItems(first: Int, after: String): LineItemConnection!
  shippingLine: ShippingLine shippingAddress: MailingAddress email: String phone: String clientIp: String customer: Customer
}
type LineItemConnection { edges: [LineItemEdge!]! nodes: [LineItem!]! pageInfo: PageInfo! }
type LineItemEdge { cursor: String! node: LineItem! }
type LineItem implements Node {
  id: ID! title: String! sku: String quantity: Int! currentQuantity: Int! originalUnitPriceSet: MoneyBag
}
type ShippingLine {
  id: ID title: String! originalPriceSet: MoneyBag! discountedPriceSet: MoneyBag! currentDiscountedPriceSet: MoneyBag!
  taxLines: [TaxLine!]!
}
type TaxLine { title: String! rate: Float priceSet: MoneyBag! }
type MailingAddress {
  firstName: String lastName: String name: String phone: String company: String address1: String address2: String
  city: String zip: String province: String provinceCode: String country: String countryCodeV2: String
  latitude: Float longitude: Float
}
type Customer { id: ID! firstName: String lastName: String email: String phone: String }

type BulkOperationConnection { edges: [BulkOperationEdge!]! nodes: [BulkOperation!]! pageInfo: PageInfo! }
type BulkOperationEdge { cursor: String! node: BulkOperation! }
type BulkOperation implements Node {
  id: ID! status: BulkOperationStatus! errorCode: String createdAt: DateTime! completedAt: DateTime query: String!
  objectCount: UnsignedInt64! rootObjectCount: UnsignedInt64! fileSize: UnsignedInt64 url: URL partialDataUrl: URL
  type: BulkOperationType!
}
type BulkOperationUserError { field: [String!] message: String! code: String }
type BulkOperationRunQueryPayload { bulkOperation: BulkOperation userErrors: [BulkOperationUserError!]! }
type BulkOperationCancelPayload { bulkOperation: BulkOperation userErrors: [BulkOperationUserError!]! }
"""


@lru_cache(maxsize=1)
def schema() -> GraphQLSchema:
    """Return the schema."""
    return build_schema(_SDL)


@lru_cache(maxsize=256)
def checked(text: str) -> DocumentNode:
    """Return a document that the schema accepts. Raises: GraphQLError: the first thing that is wrong with it."""
    document = parse(text)
    errors: list[GraphQLError] = validate(schema(), document)
    if errors:
        raise errors[0]
    return document
