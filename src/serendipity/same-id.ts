import { Writer } from '../stream/bytes.ts';
import type { BehaviorEvent, BehaviorItem, EventType } from '../shop/behaviour.ts';
import { Action, Page, type Mark, type User } from './user.ts';

/**
 * One event_id with two contents is a producer's fault; which of the two counts must still not depend on which came first.
 * The contents that labels rest on are put into bytes, fields in the schema's order, and the least bytes count.
 */
const TYPES: EventType[] = ['exposure', 'click', 'purchase', 'search', 'visit'];
const writer = new Writer();

type Content = Pick<BehaviorEvent, 'event_type' | 'event_time' | 'request_id' | 'scene' | 'arm'> & {
  items: readonly Pick<BehaviorItem, 'item_id' | 'category_id' | 'brand_id' | 'seller_id' | 'position'>[];
};

export function contentOf(content: Content): Buffer {
  const w = writer;
  w.uint(TYPES.indexOf(content.event_type));
  w.int(content.event_time);
  w.optional(content.request_id);
  w.optional(content.scene);
  w.optional(content.arm);
  for (const item of content.items) {
    w.text(item.item_id);
    w.optional(item.category_id);
    w.optional(item.brand_id);
    w.optional(item.seller_id);
    w.byte(item.position === null ? 0 : 1);
    if (item.position !== null) w.int(item.position);
  }
  return w.take();
}

/** The content of a remembered event. */
export function rememberedContent(user: User, event: Page | Action | Mark): Content {
  const { names } = user;
  const { time, request, scene, arm } = event;
  const common = { event_time: time, request_id: request, scene, arm };
  if (event instanceof Page) {
    const items = Array.from({ length: event.length }, (_, row) => {
      const [category, brand, seller] = event.ids(row);
      return {
        item_id: names.name(event.item(row))!,
        category_id: names.name(category),
        brand_id: names.name(brand),
        seller_id: names.name(seller),
        position: event.position(row),
      };
    });
    return { ...common, event_type: 'exposure', items };
  }
  if (event instanceof Action) {
    const items = user.actions
      .filter((action) => action.id === event.id)
      .map((action) => ({
        item_id: action.item,
        category_id: names.name(action.category),
        brand_id: names.name(action.brand),
        seller_id: names.name(action.seller),
        position: action.position,
      }));
    return { ...common, event_type: event.purchase ? 'purchase' : 'click', items };
  }
  return { ...common, event_type: TYPES[event.type], items: [] };
}

export const typeNumber = (type: EventType): number => TYPES.indexOf(type);
